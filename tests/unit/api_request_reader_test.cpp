// SPDX-License-Identifier: Apache-2.0
#include "api/request_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace natra::api {
namespace {

using State = RequestReader::State;
using testing::HasSubstr;

RequestReader read(std::string_view bytes) {
    RequestReader out;
    out.feed(bytes);
    return out;
}

// The status of a request that is refused; 0 if it is not.
int refusal(std::string_view bytes) {
    const auto reader = read(bytes);
    return reader.state() == State::refused ? reader.status() : 0;
}

std::string with_header(std::string_view line) {
    return "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(line) + "\r\n\r\n";
}

TEST(RequestReader, TakesARequestWithoutABody) {
    const auto reader = read("GET /v1/pods?limit=5 HTTP/1.1\r\nHost: localhost\r\nX-A:  b \r\nx-a: c\r\n\r\n");
    ASSERT_EQ(reader.state(), State::complete);
    EXPECT_EQ(reader.request().method, "GET");
    EXPECT_EQ(reader.request().target, "/v1/pods?limit=5");
    EXPECT_EQ(reader.request().header("host"), "localhost");
    EXPECT_EQ(reader.request().header("x-a"), "b, c");
    EXPECT_EQ(reader.request().header("none"), "");
    EXPECT_EQ(reader.request().body, "");
}

TEST(RequestReader, TakesABodyOfItsLengthAndIgnoresWhatFollows) {
    const auto reader = read("PATCH /x HTTP/1.0\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\n\r\n");
    ASSERT_EQ(reader.state(), State::complete);
    EXPECT_EQ(reader.request().body, "body");
}

TEST(RequestReader, DoesNotCareHowTheBytesArrive) {
    const std::string bytes = "PATCH /x HTTP/1.1\r\nHost: y\r\nContent-Length: 3\r\n\r\nabc";
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        RequestReader reader;
        EXPECT_EQ(reader.feed(std::string_view(bytes).substr(0, cut)), State::incomplete) << cut;
        EXPECT_EQ(reader.feed(std::string_view(bytes).substr(cut)), State::complete) << cut;
        EXPECT_EQ(reader.request().body, "abc");
    }
    RequestReader reader;
    for (const char c : bytes) reader.feed({&c, 1});
    EXPECT_EQ(reader.state(), State::complete);
}

TEST(RequestReader, RefusesWhatIsNoRequest) {
    for (const std::string_view bytes :
         {"GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nHost: x\n\r\n", "\rGET / HTTP/1.0\r\n\r\n",
          "\nGET / HTTP/1.0\r\n\r\n", "GET  HTTP/1.0\r\n\r\n", "GET /\r\n\r\n", "GET / a HTTP/1.0\r\n\r\n",
          "GET / http/1.0\r\n\r\n", "G(T / HTTP/1.0\r\n\r\n", "GET x HTTP/1.0\r\n\r\n",
          "GET https://x/ HTTP/1.0\r\n\r\n", "GET http:///a HTTP/1.0\r\n\r\n", "GET http://a@x/ HTTP/1.0\r\n\r\n",
          "GET http://\x80/ HTTP/1.0\r\n\r\n", "GET /\x80 HTTP/1.0\r\n\r\n", " / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x02",
          "GET / HTTP/1.0\rX: y\r\n\r\n"})
        EXPECT_EQ(refusal(bytes), 400) << bytes;
    EXPECT_EQ(refusal(std::string_view("GET /\0 HTTP/1.0\r\n\r\n", 19)), 400);
    for (const auto* const line : {"no colon", ": no name", "na me: x", "folded: x\r\n y", "bell: \a", "é: x"})
        EXPECT_EQ(refusal(with_header(line)), 400) << line;
    EXPECT_EQ(refusal("GET / HTTP/2.0\r\n\r\n"), 505);
    EXPECT_EQ(refusal("GET / HTTP/1.10\r\n\r\n"), 505);
}

// A CR or LF alone, wherever the pieces end: another reader may see two lines there.
TEST(RequestReader, RefusesBareLineEndsHoweverTheyArrive) {
    for (const std::string& bytes :
         {with_header("a: b\rc: d"), with_header("a: b\nc: d"), with_header("a: b\r\rc: d"), with_header("a: b\r")}) {
        EXPECT_EQ(refusal(bytes), 400) << bytes;
        for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
            RequestReader reader;
            reader.feed(std::string_view(bytes).substr(0, cut));
            EXPECT_EQ(reader.feed(std::string_view(bytes).substr(cut)), State::refused) << bytes << cut;
            EXPECT_EQ(reader.status(), 400) << bytes << cut;
        }
    }
}

// RFC 9112, section 3.2: a request of HTTP/1.1 names its host, and only there.
TEST(RequestReader, WantsAHost) {
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(refusal("GET http://x/ HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(refusal("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(RequestReader, TakesAbsoluteTargets) {
    const auto target_of = [](std::string_view target) {
        const auto reader = read("GET " + std::string(target) + " HTTP/1.1\r\nHost: y\r\n\r\n");
        EXPECT_EQ(reader.state(), State::complete) << target;
        return reader.request().header("host") + " " + reader.request().target;
    };
    EXPECT_EQ(target_of("http://x:8/v1/pods?limit=5"), "x:8 /v1/pods?limit=5");
    EXPECT_EQ(target_of("HTTP://x"), "x /");
    EXPECT_EQ(target_of("http://x?a=b"), "x /?a=b");
}

TEST(RequestReader, PassesEmptyLinesBeforeARequest) {
    const std::string request = "GET / HTTP/1.0\r\n\r\n";
    EXPECT_EQ(read("\r\n" + request).state(), State::complete);
    RequestReader reader;
    for (const char c : "\r\n\r\n" + request) reader.feed({&c, 1});
    EXPECT_EQ(reader.state(), State::complete);
    std::string many;
    for (int i = 0; i < 9; ++i) many += "\r\n";
    EXPECT_EQ(refusal(many + request), 400);
}

TEST(RequestReader, TakesABodyInChunks) {
    const std::string head = "PATCH /x HTTP/1.1\r\nHost: y\r\nTransfer-Encoding: Chunked\r\n\r\n";
    const std::string bytes = head + "3;note=\"b\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nDigest: x\r\n\r\nGET / HTTP/1.1";
    EXPECT_EQ(read(bytes).request().body, "abc0123456789");
    for (std::size_t piece = 1; piece < 9; ++piece) {
        RequestReader reader;
        for (std::string_view rest = bytes; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size())))
            reader.feed(rest.substr(0, piece));
        EXPECT_EQ(reader.state(), State::complete) << piece;
        EXPECT_EQ(reader.request().body, "abc0123456789") << piece;
    }
    EXPECT_EQ(read(head + "0\r\n\r\n").request().body, "");
    EXPECT_EQ(read(head + "3\r\nab").state(), State::incomplete);
}

TEST(RequestReader, RefusesWhatIsNoChunk) {
    const std::string head = "PATCH /x HTTP/1.1\r\nHost: y\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const auto* const body : {"x\r\n", "-1\r\n", "\r\n", "3\nabc", "3\r\nabcd\r\n", "3\r\nabc\n0\r\n", "0x3\r\n",
                                   "3 3\r\nabc\r\n", "3\rabc"})
        EXPECT_EQ(refusal(head + body), 400) << body;
    for (const auto* const body : {"10001\r\n", "fffffffffffffffff\r\n", "ffffffffffffffff\r\n"})
        EXPECT_EQ(refusal(head + body), 413) << body;
    EXPECT_EQ(refusal(head + "1;" + std::string(2000, 'a')), 413);
    std::string small;
    for (int i = 0; i < 9000; ++i) small += "1\r\na\r\n";
    EXPECT_EQ(refusal(head + small), 413) << "more around the body than any client needs";
    EXPECT_EQ(refusal("PATCH /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(refusal(with_header("Transfer-Encoding: gzip, chunked")), 501);
    EXPECT_EQ(refusal(with_header("Transfer-Encoding: chunked\r\nContent-Length: 3")), 400);
}

TEST(RequestReader, RefusesDoubtfulFraming) {
    for (const auto* const line :
         {"Content-Length: ", "Content-Length: -1", "Content-Length: 0x10", "Content-Length: +1", "Content-Length: 1 1",
          "Content-Length: 1\r\nContent-Length: 1", "Host: y"})
        EXPECT_EQ(refusal(with_header(line)), 400) << line;
    EXPECT_EQ(refusal(with_header("Content-Length: 65537")), 413);
    EXPECT_EQ(refusal(with_header("Content-Length: 99999999999999999999999")), 413);
    EXPECT_EQ(read(with_header("Content-Length: 65536")).state(), State::incomplete);
}

TEST(RequestReader, RefusesWhatIsTooLong) {
    const auto with_target = [](std::size_t length) {
        return "GET /" + std::string(length - 1, 'a') + " HTTP/1.0\r\n\r\n";
    };
    EXPECT_EQ(refusal(with_target(RequestReader::max_target_bytes)), 0);
    EXPECT_EQ(refusal(with_target(RequestReader::max_target_bytes + 1)), 414);
    EXPECT_EQ(refusal(with_header("a: " + std::string(RequestReader::max_head_bytes, 'b'))), 431);
    // Without an end, too: nobody may make natrad wait for more.
    EXPECT_EQ(refusal("GET /" + std::string(RequestReader::max_head_bytes, 'a')), 431);
    std::string many;
    for (std::size_t i = 0; i < RequestReader::max_headers; ++i) many += "\r\na" + std::to_string(i) + ": b";
    EXPECT_EQ(refusal("GET / HTTP/1.0" + many + "\r\n\r\n"), 0);
    EXPECT_EQ(refusal("GET / HTTP/1.0" + many + "\r\nc: d\r\n\r\n"), 431);
}

TEST(RequestReader, SaysWhenTheClientWaits) {
    RequestReader reader;
    reader.feed("PATCH /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n");
    EXPECT_TRUE(reader.awaits_continue());
    reader.feed("abc");
    EXPECT_FALSE(reader.awaits_continue());
    EXPECT_EQ(reader.state(), State::complete);
    RequestReader chunked;
    chunked.feed("PATCH /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_TRUE(chunked.awaits_continue());
    chunked.feed("0");
    EXPECT_FALSE(chunked.awaits_continue());
    // HTTP/1.0 knows no interim answers.
    RequestReader old;
    old.feed("PATCH /x HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_FALSE(old.awaits_continue());
}

// Damaged requests in pieces of any size: whatever they are, the reader ends in a state, and a refusal has a reason.
TEST(RequestReader, SurvivesDamagedRequests) {
    const auto* const wanted = std::getenv("NATRA_FUZZ_ROUNDS");
    const int rounds = wanted != nullptr ? std::atoi(wanted) : 50'000;
    const std::string whole =
        "PATCH /v1/pods/a%2Fb/limits?interface=eth0 HTTP/1.1\r\nHost: localhost\r\nIf-Match: \"0123\"\r\n"
        "Content-Type: application/merge-patch+json\r\nContent-Length: 24\r\n\r\n{\"ingress\":{\"rate\":1000}}";
    std::mt19937 random(20260401);  // the same damage in every run
    const auto below = [&](std::size_t bound) {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
    };
    int complete = 0;
    int refused = 0;
    for (int round = 0; round < rounds; ++round) {
        auto bytes = whole;
        for (auto damages = below(4); damages != 0; --damages) {
            const auto at = below(bytes.size());
            switch (below(4)) {
            case 0: bytes[at] = static_cast<char>(below(256)); break;
            case 1: bytes.erase(at, 1 + below(20)); break;
            case 2: bytes.insert(at, bytes.substr(below(bytes.size()), below(40))); break;
            default: bytes.insert(at, 1 + below(10), "\r\n :%\"0\t"[below(8)]);
            }
            if (bytes.empty()) bytes = " ";
        }
        RequestReader reader;
        for (std::string_view rest = bytes; !rest.empty();) {
            const auto piece = 1 + below(rest.size());
            reader.feed(rest.substr(0, piece));
            rest.remove_prefix(piece);
        }
        complete += reader.state() == State::complete;
        refused += reader.state() == State::refused;
        if (reader.state() != State::refused) continue;
        EXPECT_GE(reader.status(), 400);
        EXPECT_FALSE(reader.detail().empty());
    }
    EXPECT_GT(complete, rounds / 10);
    EXPECT_GT(refused, rounds / 10);
}

}  // namespace
}  // namespace natra::api
