// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/record.hpp"

#include "daemon/chain/conf_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

constexpr std::size_t max_record_bytes = 64 << 20;

Result<Record> from_json(const std::string& text) {
    const auto object = Json::parse(text, nullptr, false);
    if (!object.is_object()) return fail(Code::invalid_argument, "not a JSON object");
    Record out;
    for (const auto& [key, into] :
         {std::pair("Path", &out.path), std::pair("Original", &out.original), std::pair("Written", &out.written)}) {
        const auto it = object.find(key);
        if (it == object.end() || !it->is_string()) return fail(Code::invalid_argument, key, ": not a string");
        *into = it->get<std::string>();
    }
    out.format = object.value("Single", false) ? Format::single : Format::list;
    return out;
}

}  // namespace

std::string Record::written_path() const { return format == Format::single ? list_path_for(path) : path; }

std::vector<Record> Records::all() const {
    std::vector<Record> out;
    for (const auto& name : files::list(directory_)) {
        const auto file = concat(directory_, "/", name);
        const auto text = files::read(file, max_record_bytes);
        auto record = text ? from_json(*text) : Result<Record>(text.error());
        if (record)
            out.push_back(*std::move(record));
        else
            log::error(concat("chain: ", file, ": ", record.error().what));
    }
    return out;
}

Result<void> Records::put(const Record& record) const {
    if (auto r = files::make_directory(directory_); !r) return r;
    const Json object = {{"Path", record.path},
                         {"Single", record.format == Format::single},
                         {"Original", record.original},
                         {"Written", record.written}};
    return files::write_atomically(file_of(record.path),
                                   object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void Records::forget(const Record& record) const {
    if (auto r = files::remove(file_of(record.path)); !r) log::error(concat("chain: ", r.error().what));
}

// '/' becomes '-' and '-' becomes "--": as readable as it is unambiguous.
std::string Records::file_of(const std::string& path) const {
    std::string name;
    for (const char c : path) name += c == '/' ? "-" : c == '-' ? "--" : std::string(1, c);
    return concat(directory_, "/chain", name);
}

}  // namespace natra::chain
