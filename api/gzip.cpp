// SPDX-License-Identifier: Apache-2.0
#include "api/gzip.hpp"

#include <zlib.h>

#include <limits>
#include <utility>

#include "api/text.hpp"

namespace natra::api {
namespace {

constexpr std::size_t worth_bytes = 1000;
constexpr int gzip_window = MAX_WBITS + 16;
constexpr int memory_level = 8;

// Empty if zlib has no memory.
std::string compress(const std::string& text) {
    z_stream stream{};
    // 650 kB of metrics take 5 ms, and 30 kB.
    if (::deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, gzip_window, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
        return {};
    std::string out(::deflateBound(&stream, text.size()), '\0');
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): zlib only reads
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const bool whole = ::deflate(&stream, Z_FINISH) == Z_STREAM_END;
    out.resize(whole ? stream.total_out : 0);
    ::deflateEnd(&stream);
    return out;
}

// "gzip;q=0.5" -> false, "gzip; q=0.000" -> true.
bool is_refused(const std::vector<std::string_view>& parameters) {
    for (std::size_t i = 1; i < parameters.size(); ++i) {
        const auto parameter = lower_case(trimmed(parameters[i]));
        if (parameter.starts_with("q=")) return parameter.find_first_not_of("0.", 2) == std::string::npos;
    }
    return false;
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
    bool by_star = false;
    for (const auto each : split(accept_encoding, ',')) {
        const auto parameters = split(each, ';');
        const auto coding = lower_case(trimmed(parameters.front()));
        if (coding == "gzip" || coding == "x-gzip") return !is_refused(parameters);
        if (coding == "*") by_star = !is_refused(parameters);
    }
    return by_star;
}

Response gzipped(Response response) {
    const auto length = response.body.size();
    if (response.status != 200 || length < worth_bytes || length > std::numeric_limits<uInt>::max()) return response;
    if (auto body = compress(response.body); !body.empty()) {
        response.body = std::move(body);
        response.headers.emplace_back("Content-Encoding", "gzip");
    }
    return response;
}

}  // namespace natra::api
