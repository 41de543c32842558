// SPDX-License-Identifier: Apache-2.0
#include "api/gzip.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

namespace natra::api {
namespace {

std::string unzipped(std::string body, std::size_t length) {
    std::string out(length, '?');
    z_stream stream{};
    EXPECT_EQ(::inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(body.data());
    stream.avail_in = static_cast<uInt>(body.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(::inflate(&stream, Z_FINISH), Z_STREAM_END);
    EXPECT_EQ(stream.total_out, length);
    ::inflateEnd(&stream);
    return out;
}

TEST(Gzip, IsForThoseThatTakeIt) {
    for (const auto* const header :
         {"gzip", "GZip", "deflate, gzip;q=0.5", "br;q=1.0, *;q=0.1", "x-gzip", "gzip ; q=0.001"})
        EXPECT_TRUE(accepts_gzip(header)) << header;
    for (const auto* const header : {"", "identity", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "gzipped", "deflate"})
        EXPECT_FALSE(accepts_gzip(header)) << header;
}

TEST(Gzip, KeepsEveryByte) {
    std::string body;
    for (int i = 0; i < 20'000; ++i) body += "natra_pod_bytes_total{pod=\"" + std::to_string(i * i) + "\"} 1\n";
    const auto out = gzipped({.status = 200, .content_type = "text/plain", .body = body, .headers = {}});
    EXPECT_LT(out.body.size(), body.size() / 4);
    EXPECT_EQ(unzipped(out.body, body.size()), body);
    ASSERT_EQ(out.headers.size(), 1U);
    EXPECT_EQ(out.headers[0], std::pair(std::string("Content-Encoding"), std::string("gzip")));
}

TEST(Gzip, LeavesShortBodiesAndErrorsAlone) {
    const std::string longer(5000, 'a');
    EXPECT_EQ(gzipped({.status = 200, .content_type = "", .body = "short", .headers = {}}).body, "short");
    EXPECT_EQ(gzipped({.status = 500, .content_type = "", .body = longer, .headers = {}}).body, longer);
}

}  // namespace
}  // namespace natra::api
