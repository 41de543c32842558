// SPDX-License-Identifier: Apache-2.0
// The server on a socket of its own, with clients that behave and clients that do not.
#include "api/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "api/listeners.hpp"
#include "tests/unit/pending_answers.hpp"

namespace natra::api {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr std::size_t long_body = 3 << 20;

// Of a request to /slow.
std::atomic<bool> slow_began;
std::atomic<bool> slow_may_end;

Response response_to(const Request& request, const Caller& caller) {
    if (request.target == "/throw") throw std::runtime_error("secret");
    if (request.target == "/slow") {
        slow_began = true;
        for (int i = 0; i < 2000 && !slow_may_end; ++i) std::this_thread::sleep_for(10ms);
    }
    if (request.target == "/long")
        return {.content_type = "text/plain", .body = std::string(long_body, 'x'), .headers = {}};
    return {.content_type = "text/plain",
            .body = request.method + " " + request.target + " " + request.body + (caller.may_write ? " root" : ""),
            .headers = {{"ETag", "\"1\""}}};
}

// Requests for /later.
Pending pending;

SharedResponse answer(const Request& request, const Caller& caller, const HttpServer::Later& later) {
    auto response = shared(response_to(request, caller));
    if (request.target != "/later") return response;
    pending.add([later, response] { later(response); });
    return nullptr;
}

class HttpServerTest : public testing::Test {
protected:
    void start(HttpSettings settings = {}) {
        auto listener = listen_at(path(), "");
        ASSERT_TRUE(listener) << listener.error().what;
        std::vector<Listener> listeners;
        listeners.push_back(*std::move(listener));
        server_ = std::make_unique<HttpServer>(std::move(listeners), settings, answer,
                                               [this](const Request& request, int status) {
                                                   const std::lock_guard lock(mutex_);
                                                   ++answered_[{request.target, status}];
                                               });
    }
    void TearDown() override {
        server_.reset();
        pending.give_all();  // nobody is there any more
        ::unlink(path().c_str());
    }
    [[nodiscard]] std::string path() const { return testing::TempDir() + "natra-http-" + std::to_string(::getpid()); }

    [[nodiscard]] UniqueFd connect() const {
        UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    // What is left when the server does not take more.
    static std::size_t send(const UniqueFd& fd, std::string_view bytes) {
        while (!bytes.empty()) {
            const auto sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) break;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return bytes.size();
    }
    // Until the server closes.
    static std::string receive(const UniqueFd& fd) {
        std::string out;
        char buffer[65536];
        for (;;) {
            pollfd wait{.fd = fd.get(), .events = POLLIN, .revents = 0};
            if (::poll(&wait, 1, 20'000) <= 0) return out + " (no end)";
            const auto got = ::recv(fd.get(), buffer, sizeof buffer, 0);
            if (got <= 0) return out;
            out.append(buffer, static_cast<std::size_t>(got));
        }
    }
    [[nodiscard]] std::string ask(std::string_view bytes) const {
        const auto fd = connect();
        send(fd, bytes);
        return receive(fd);
    }
    [[nodiscard]] std::string get(const std::string& target) const {
        return ask("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
    }

    // Asks and reads nothing; nor does it send any more.
    [[nodiscard]] UniqueFd ask_without_reading(const std::string& target) const {
        auto fd = connect();
        send(fd, "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
        ::shutdown(fd.get(), SHUT_WR);
        // The end comes last.
        pollfd wait{.fd = fd.get(), .events = POLLRDHUP, .revents = 0};
        EXPECT_EQ(::poll(&wait, 1, 20'000), 1);
        return fd;
    }
    [[nodiscard]] bool comes_to(std::size_t open) const {
        for (int i = 0; i < 400 && server_->figures().open != open; ++i) std::this_thread::sleep_for(50ms);
        return server_->figures().open == open;
    }

    // How many requests for a path were answered so.
    [[nodiscard]] int answered(const std::string& target, int status) {
        const std::lock_guard lock(mutex_);
        return answered_[{target, status}];
    }

    std::unique_ptr<HttpServer> server_;
    std::mutex mutex_;  // guards what follows
    std::map<std::pair<std::string, int>, int> answered_;
};

// As this user, in a thread of its own: the kernel tells the server whose the connecting thread was.
template <class Body> void as_user(uid_t user, Body body) {
    std::thread([&] {
        ASSERT_EQ(::syscall(SYS_setresuid, -1, user, -1), 0);
        body();
    }).join();
}

TEST_F(HttpServerTest, AnswersAndCloses) {
    start();
    const auto out = get("/a");
    EXPECT_THAT(out, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(out, HasSubstr("\r\nETag: \"1\"\r\n"));
    EXPECT_THAT(out, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_THAT(out, EndsWith(::geteuid() == 0 ? "GET /a  root" : "GET /a "));
    EXPECT_THAT(ask("PATCH /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"), HasSubstr("PATCH /b hi"));
}

constexpr std::string_view patch_later = "PATCH /later HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";

TEST_F(HttpServerTest, AnswersThatComeLaterHoldUpNoOthers) {
    start({.workers = 2});
    constexpr std::size_t many = 8;
    std::vector<UniqueFd> patient;
    for (std::size_t i = 0; i < many; ++i) {
        patient.push_back(connect());
        send(patient.back(), patch_later);
    }
    ASSERT_TRUE(pending.comes_to(many));
    for (std::size_t i = 0; i < 4 * many; ++i) EXPECT_THAT(get("/a"), HasSubstr("GET /a "));
    EXPECT_EQ(pending.count(), many);
    // The first has shut down its side, the second its whole connection.
    ::shutdown(patient[0].get(), SHUT_WR);
    patient.erase(patient.begin() + 1);
    EXPECT_THAT(get("/a"), HasSubstr("GET /a "));
    pending.give_all();
    for (const auto& each : patient) EXPECT_THAT(receive(each), HasSubstr("PATCH /later hi"));
    EXPECT_TRUE(comes_to(0));
    EXPECT_EQ(answered("/later", 200), static_cast<int>(many));
}

TEST_F(HttpServerTest, AnAnswerThatComesTooLateIsAProblemAndHarmsNobody) {
    start({.answer_time = 100ms});
    const auto fd = connect();
    send(fd, patch_later);
    EXPECT_THAT(receive(fd), StartsWith("HTTP/1.1 503 "));
    EXPECT_EQ(answered("/later", 503), 1);
    ASSERT_EQ(pending.count(), 1U);
    const auto next = connect();
    pending.give_all();
    send(next, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(receive(next), HasSubstr("GET /a "));
    EXPECT_TRUE(comes_to(0));
    EXPECT_EQ(answered("/later", 200), 0);
}

TEST_F(HttpServerTest, DrainWaitsForAnswersThatComeLater) {
    start({.request_time = 50ms, .stop_time = 50ms});
    const auto fd = connect();
    send(fd, patch_later);
    ASSERT_TRUE(pending.comes_to(1));
    int rounds = 0;
    EXPECT_TRUE(server_->drain(20s, [&] {
        // Longer than a client has for its request, and than one look takes at those who are late.
        if (++rounds == 1) std::this_thread::sleep_for(1s);
        pending.give_all();
    }));
    EXPECT_THAT(receive(fd), HasSubstr("PATCH /later hi"));
}

TEST_F(HttpServerTest, EndsWhileAnswersAreAwaited) {
    start();
    const auto fd = connect();
    send(fd, patch_later);
    ASSERT_TRUE(pending.comes_to(1));
    server_.reset();
    EXPECT_EQ(receive(fd), "");
    pending.give_all();
}

TEST_F(HttpServerTest, HeadHasNoBody) {
    start();
    EXPECT_THAT(ask("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, AnswersAClientThatHasClosedItsSide) {
    start();
    const auto fd = connect();
    send(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    ::shutdown(fd.get(), SHUT_WR);
    EXPECT_THAT(receive(fd), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, ContinuesWhenAsked) {
    start();
    const auto fd = connect();
    send(fd, "PATCH /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    char interim[25];
    ASSERT_EQ(::recv(fd.get(), interim, sizeof interim, MSG_WAITALL), static_cast<ssize_t>(sizeof interim));
    EXPECT_EQ(std::string(interim, sizeof interim), "HTTP/1.1 100 Continue\r\n\r\n");
    send(fd, "hi");
    EXPECT_THAT(receive(fd), HasSubstr("PATCH /b hi"));
}

TEST_F(HttpServerTest, WhatCannotBeReadIsAProblem) {
    start();
    EXPECT_THAT(ask("nonsense\n"),
                AllOf(StartsWith("HTTP/1.1 400 Bad Request\r\n"), HasSubstr("application/problem+json")));
    // More than is read: the answer must still arrive.
    EXPECT_THAT(ask("PATCH /b HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + std::string(300'000, 'x')),
                StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(server_->figures().bad, 2U);
}

TEST_F(HttpServerTest, AnExceptionIsAnErrorWithoutItsText) {
    start();
    EXPECT_THAT(get("/throw"), AllOf(StartsWith("HTTP/1.1 500 "), Not(HasSubstr("secret"))));
    EXPECT_THAT(get("/a"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, SlowReadersHarmNobody) {
    if (::geteuid() != 0) GTEST_SKIP() << "large socket buffers are for root";
    start();
    std::vector<UniqueFd> slow;
    for (int i = 0; i < 16; ++i) {
        slow.push_back(connect());
        send(slow.back(), "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < 50; ++i) EXPECT_THAT(get("/a"), StartsWith("HTTP/1.1 200 "));
    // Nor do they come off badly: what they get is whole.
    for (const auto& fd : slow) {
        const auto out = receive(fd);
        EXPECT_EQ(out.size() - out.find("\r\n\r\n") - 4, long_body);
    }
    EXPECT_EQ(server_->figures().lost, 0U);
}

// Over TCP nobody is root; and a large answer reaches one who reads late there, too.
// Read-only, on the loopback.
class TcpServer {
public:
    explicit TcpServer(std::chrono::milliseconds stuck_time)
        : server_(listeners(), {.bounds = {.stuck_time = stuck_time}, .linger_time = 300ms}, answer) {}

    UniqueFd ask(std::string_view bytes) {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
        EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
        return fd;
    }
    // One who reads nothing of much.
    UniqueFd ask_without_reading() {
        auto fd = ask("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 400 && server_.figures().unread_bytes == 0; ++i) std::this_thread::sleep_for(10ms);
        EXPECT_GT(server_.figures().unread_bytes, 0U);
        return fd;
    }
    void wait_until_none_is_open() {
        for (int i = 0; i < 400 && server_.figures().open != 0; ++i) std::this_thread::sleep_for(50ms);
        EXPECT_EQ(server_.figures().open, 0U);
        EXPECT_EQ(server_.figures().unread_bytes, 0U);
    }

private:
    std::vector<Listener> listeners() {
        UniqueFd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address_;
        EXPECT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
        EXPECT_EQ(::listen(listening.get(), 16), 0);
        ::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address_), &size);
        std::vector<Listener> out;
        out.push_back({.fd = std::move(listening), .read_only = true});
        return out;
    }

    sockaddr_in address_{};
    HttpServer server_;
};

TEST_F(HttpServerTest, TcpIsReadOnly) {
    if (::geteuid() != 0) GTEST_SKIP() << "large socket buffers are for root";
    TcpServer server(1s);
    const auto slow = server.ask("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(receive(server.ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")), EndsWith("GET /a "));
    const auto out = receive(slow);
    EXPECT_EQ(out.size() - out.find("\r\n\r\n") - 4, long_body);
    // Who reads nothing is cut off in the end.
    const auto stuck = server.ask_without_reading();
    server.wait_until_none_is_open();
    EXPECT_LT(receive(stuck).size(), long_body);
}

TEST_F(HttpServerTest, WhoResetsATcpConnectionHoldsNothing) {
    if (::geteuid() != 0) GTEST_SKIP() << "large socket buffers are for root";
    TcpServer server(1h);
    server.ask_without_reading().reset();  // with much unread: a reset
    server.wait_until_none_is_open();
}

TEST_F(HttpServerTest, IdleConnectionsEndAndHarmNobody) {
    start({.request_time = 3s, .linger_time = 200ms});
    std::vector<UniqueFd> idle;
    for (int i = 0; i < 40; ++i) idle.push_back(connect());
    send(idle[0], "GET /a HTTP/1.1\r\nHo");
    EXPECT_THAT(get("/a"), StartsWith("HTTP/1.1 200 "));
    for (const auto& fd : idle) EXPECT_THAT(receive(fd), StartsWith("HTTP/1.1 408 "));
    for (int i = 0; i < 100 && server_->figures().open != 0; ++i) std::this_thread::sleep_for(100ms);
    EXPECT_EQ(server_->figures().open, 0U);
}

TEST_F(HttpServerTest, OneWhoDoesNotStopSendingIsCutOff) {
    start({.workers = 1});
    const auto fd = connect();
    send(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    std::size_t left = 0;
    std::thread flood([&] { left = send(fd, std::string(64 << 20, 'x')); });
    EXPECT_THAT(get("/a"), StartsWith("HTTP/1.1 200 "));
    flood.join();
    EXPECT_GT(left, 32U << 20);
}

TEST_F(HttpServerTest, BeyondTheMaximumIsRefusedAtOnce) {
    start({.bounds = {.connections = 2}});
    const auto first = connect();
    const auto second = connect();
    for (int i = 0; i < 100 && server_->figures().open != 2; ++i) std::this_thread::sleep_for(50ms);
    EXPECT_THAT(get("/a"), StartsWith("HTTP/1.1 503 "));
    EXPECT_EQ(server_->figures().refused, 1U);
}

// What is sent into a Unix socket stays there when natrad closes its end.
TEST_F(HttpServerTest, UnreadAnswersCountUntilTheyAreRead) {
    start({.bounds = {.connections = 4}, .linger_time = 100ms});
    std::vector<UniqueFd> stuck;
    for (int i = 0; i < 4; ++i) stuck.push_back(ask_without_reading("/a"));
    std::this_thread::sleep_for(1s);
    EXPECT_THAT(get("/b"), StartsWith("HTTP/1.1 503 "));
    EXPECT_TRUE(comes_to(4));
    EXPECT_THAT(receive(stuck[0]), HasSubstr("GET /a"));  // read
    EXPECT_THAT(get("/b"), StartsWith("HTTP/1.1 200 "));
    stuck[1].reset();  // or gone
    EXPECT_TRUE(comes_to(2));
    EXPECT_GT(server_->figures().unread_bytes, 0U);
    stuck.clear();
    EXPECT_TRUE(comes_to(0));
    EXPECT_EQ(server_->figures().unread_bytes, 0U);
}

TEST_F(HttpServerTest, UnreadBytesAreBounded) {
    if (::geteuid() != 0) GTEST_SKIP() << "large socket buffers are for root";
    constexpr std::size_t bound = 8 << 20;
    start({.bounds = {.unread_bytes = bound}, .linger_time = 100ms});
    const auto first = ask_without_reading("/long");
    const auto second = ask_without_reading("/long");
    for (int i = 0; i < 20; ++i) EXPECT_THAT(get("/long"), StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(get("/a"), StartsWith("HTTP/1.1 200 "));
    const auto unread = server_->figures().unread_bytes;
    EXPECT_GE(unread, 2 * long_body);
    EXPECT_LE(unread, bound);
    EXPECT_GE(receive(first).size(), long_body);
    EXPECT_THAT(get("/long"), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(server_->figures().lost, 0U);
}

TEST_F(HttpServerTest, OneUserLeavesSomethingToOthersAndAllOfItToRoot) {
    if (::geteuid() != 0) GTEST_SKIP() << "plays several users";
    start({.bounds = {.connections = 4}, .linger_time = 100ms});
    std::filesystem::permissions(path(), std::filesystem::perms::all);
    std::vector<UniqueFd> stuck;
    as_user(65534, [&] {
        for (int i = 0; i < 3; ++i) stuck.push_back(ask_without_reading("/a"));
        EXPECT_THAT(get("/b"), StartsWith("HTTP/1.1 503 "));
        EXPECT_TRUE(comes_to(3));
        // One who reads not even that much is told no more.
        for (int i = 0; i < 3; ++i) stuck.push_back(ask_without_reading("/a"));
        EXPECT_EQ(get("/b"), "");
    });
    as_user(65533, [&] {
        EXPECT_THAT(get("/b"), StartsWith("HTTP/1.1 200 "));
        EXPECT_TRUE(comes_to(6));
        stuck.push_back(ask_without_reading("/a"));
        EXPECT_THAT(get("/b"), StartsWith("HTTP/1.1 503 "));
    });
    for (int i = 0; i < 4; ++i) stuck.push_back(ask_without_reading("/a"));
    EXPECT_THAT(get("/b"), StartsWith("HTTP/1.1 503 "));
}

TEST_F(HttpServerTest, DrainsRequestsUnderWay) {
    start();
    const auto fd = connect();
    slow_began = slow_may_end = false;
    send(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 1000 && !slow_began; ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(slow_began);
    EXPECT_TRUE(server_->drain(10s, [] { slow_may_end = true; }));
    EXPECT_TRUE(slow_may_end);
    EXPECT_THAT(receive(fd), HasSubstr("GET /slow"));
}

TEST_F(HttpServerTest, DrainAnswersThoseWhoHaveSaidNothingYet) {
    start({.stop_time = 100ms});
    std::vector<UniqueFd> idle;
    for (int i = 0; i < 30; ++i) idle.push_back(connect());
    send(idle[0], "GET /a HTTP/1.1\r\nHo");
    send(idle[1], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(server_->drain(10s, [] {}));
    server_.reset();
    for (std::size_t i = 0; i < idle.size(); ++i) {
        const auto out = receive(idle[i]);
        const bool good = i == 1 && out.starts_with("HTTP/1.1 200 ");
        EXPECT_TRUE(good || out.starts_with("HTTP/1.1 503 ")) << i << ": " << out;
    }
}

TEST_F(HttpServerTest, DrainSaysWhoseRequestDidNotEnd) {
    start();
    const auto fd = connect();
    slow_began = slow_may_end = false;
    send(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 1000 && !slow_began; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_FALSE(server_->drain(300ms, [] {}));
    slow_may_end = true;
}

TEST_F(HttpServerTest, ManyAtATime) {
    start();
    std::vector<std::thread> clients;
    std::atomic<int> good = 0;
    for (int i = 0; i < 32; ++i)
        clients.emplace_back([&, i] {
            for (int round = 0; round < 50; ++round) {
                const auto target = "/" + std::to_string(i) + "-" + std::to_string(round);
                good += get(target).find("GET " + target + " ") != std::string::npos;
            }
        });
    for (auto& client : clients) client.join();
    EXPECT_EQ(good, 32 * 50);
}

}  // namespace
}  // namespace natra::api
