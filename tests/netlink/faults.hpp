// SPDX-License-Identifier: Apache-2.0
// Makes the kernel, or what comes from it, fail at a chosen point. The test is linked with
// --wrap=mnl_socket_sendto, --wrap=recvmsg and --wrap=setns. One of each at a time, on the test's thread
// unless it says otherwise.
#pragma once

#include <atomic>
#include <cstddef>

namespace natra::datapath::testing {

// While it lives the nth request of a message type (from 1) is one that the kernel refuses with EOPNOTSUPP.
class RefusedRequest {
public:
    RefusedRequest(int type, int nth);
    ~RefusedRequest();
    RefusedRequest(const RefusedRequest&) = delete;
    RefusedRequest& operator=(const RefusedRequest&) = delete;

    bool refuses(int type) { return type == type_ && --left_ == 0; }
    [[nodiscard]] bool happened() const { return left_ <= 0; }

private:
    const int type_;
    int left_;
};

// While it lives the first `count` requests of a message type fail as if the kernel were short of something. On every
// thread.
class FailingRequests {
public:
    FailingRequests(int type, int error, int count = 1'000'000);
    ~FailingRequests();
    FailingRequests(const FailingRequests&) = delete;
    FailingRequests& operator=(const FailingRequests&) = delete;

    // errno for a request that fails, else 0.
    int error_of(int type) { return type == type_ && left_.fetch_sub(1) > 0 ? error_ : 0; }
    [[nodiscard]] bool happened() const { return left_.load() < count_; }

private:
    const int type_;
    const int error_;
    const int count_;
    std::atomic<int> left_;
};

// While it lives the nth attempt (from 1) to enter another network namespace than the process's fails. On every thread.
class RefusedVisit {
public:
    RefusedVisit(int nth, int error);
    ~RefusedVisit();
    RefusedVisit(const RefusedVisit&) = delete;
    RefusedVisit& operator=(const RefusedVisit&) = delete;

    // errno for an attempt that fails, else 0.
    int error_of_next() { return left_.fetch_sub(1) == 1 ? error_ : 0; }
    [[nodiscard]] bool happened() const { return left_.load() <= 0; }

private:
    const int error_;
    std::atomic<int> left_;
};

// The process dies (exit status 0) instead of sending its nth request (from 1), on whatever thread. For a child
// process.
void die_at_request(int nth);
// Requests sent since die_at_request().
int requests_sent();

// While it lives no request reaches the kernel.
class SwallowedRequests {
public:
    SwallowedRequests();
    ~SwallowedRequests();
    SwallowedRequests(const SwallowedRequests&) = delete;
    SwallowedRequests& operator=(const SwallowedRequests&) = delete;
};

// While it lives the next `count` datagrams of dumps say that the tables changed meanwhile.
class InterruptedDumps {
public:
    explicit InterruptedDumps(int count);
    ~InterruptedDumps();
    InterruptedDumps(const InterruptedDumps&) = delete;
    InterruptedDumps& operator=(const InterruptedDumps&) = delete;

    void interrupt(char* datagram, std::size_t length);
    [[nodiscard]] int left() const { return left_; }

private:
    int left_;
};

}  // namespace natra::datapath::testing
