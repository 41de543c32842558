// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/spool.hpp"

#include <filesystem>

#include "daemon/cni/request.hpp"
#include "daemon/util/files.hpp"

namespace natra::shim {
namespace {

constexpr std::size_t max_files = 4096;
constexpr const char* sent_key = "MayHaveArrived";
constexpr const char* tombstone_key = "Tombstone";

bool is_true(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && *found == true;
}

}  // namespace

Spool Spool::of_environment(const GetVariable& variable) {
    return Spool(value_or(variable, "NATRA_SPOOL_DIR", concat(runtime_directory(variable), "/spool")));
}

Spool::Content Spool::content(const Environment& attachment) const {
    const auto text = files::read(path(attachment.container_id, attachment.interface), max_json_bytes);
    if (!text) return Content::nothing;
    const auto object = parse_json(*text);
    if (!object || !object->is_object()) return Content::nothing;
    if (is_true(*object, tombstone_key)) return Content::tombstone;
    return is_true(*object, sent_key) ? Content::sent_request : Content::request;
}

Result<void> Spool::put(const Request& request, bool may_have_arrived) const {
    auto object = to_object(request);
    if (may_have_arrived) object[sent_key] = true;
    return write(path(request.container_id, request.interface), object);
}

Result<void> Spool::put_tombstone(const Environment& attachment, const std::string& network) const {
    if (files::list(directory_).size() >= max_files)
        return fail(Error::Code::unavailable, directory_, ": holds ", max_files, " files already");
    Json object;
    object[tombstone_key] = true;
    object["ContainerId"] = attachment.container_id;
    object["InterfaceName"] = attachment.interface;
    object["Network"] = network;
    return write(path(attachment.container_id, attachment.interface), object);
}

bool Spool::wants_every_pod() const {
    std::error_code ignored;
    return std::filesystem::exists(concat(directory_, "/", cni::every_pod_mark), ignored);
}

Result<void> Spool::remove(const Environment& attachment) const {
    return files::remove(path(attachment.container_id, attachment.interface));
}

// Neither part can contain a colon, so that two attachments never share a file. A container ID that does not fit
// a file name is cut, a hash of the whole behind it.
std::string Spool::path(const std::string& container_id, const std::string& interface) const {
    constexpr std::size_t longest = 200;
    constexpr std::size_t kept = 100;
    const auto name = container_id.size() <= longest
                          ? container_id
                          : concat(container_id.substr(0, kept), ":", std::hash<std::string>()(container_id));
    return concat(directory_, "/", name, ":", interface, ".json");
}

Result<void> Spool::write(const std::string& path, const Json& object) const {
    if (auto r = files::make_directory(directory_); !r) return r;
    return files::write_atomically(path, print(object));
}

}  // namespace natra::shim
