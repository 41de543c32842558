// SPDX-License-Identifier: Apache-2.0
// How many connections clients have, and how much of what they were sent they have not read. That stays in natrad's
// memory until it is read or the other end goes; of a Unix socket even when natrad has closed its own end. So natrad
// keeps its end until then, and counts it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "daemon/util/unique_fd.hpp"

namespace natra::api {

// Kinds do not take from one another: whoever may only read must not keep root out.
struct Client {
    enum class Kind { root, user, read_only } kind = Kind::read_only;
    uid_t uid = 0;
};

// Any thread. Must outlive its tickets.
class Accounts {
public:
    struct Bounds {
        std::size_t connections = 128;                 // of each kind; a user has three quarters of it
        std::size_t unread_bytes = 128 << 20;          // likewise
        std::chrono::milliseconds stuck_time{30'000};  // over TCP, for a client to take something
    };
    explicit Accounts(const Bounds& bounds) : bounds_(bounds) {}

private:
    using Clock = std::chrono::steady_clock;
    struct Entry {
        Client client;
        bool served = true;
        bool answered = false;
        bool left = false;  // nobody holds its ticket any more
        UniqueFd fd;        // from the answer on
        std::size_t unread = 0;
        Clock::time_point progress;
    };
    using Entries = std::list<Entry>;

public:
    // One connection, which counts until its ticket goes and all is read.
    class Ticket {
    public:
        Ticket(Ticket&& other) noexcept : accounts_(std::exchange(other.accounts_, nullptr)), entry_(other.entry_) {}
        Ticket& operator=(Ticket&&) = delete;
        ~Ticket() {
            if (accounts_ != nullptr) accounts_->leave(entry_);
        }
        // False: it is to be told that there are too many.
        [[nodiscard]] bool served() const { return entry_->served; }

    private:
        friend Accounts;
        Ticket(Accounts* accounts, Entries::iterator entry) : accounts_(accounts), entry_(entry) {}
        Accounts* accounts_;
        Entries::iterator entry_;
    };

    // Nothing: not even to be told. As many may be told as may be served.
    std::optional<Ticket> enter(const Client& client);

    // Before `bytes` are sent into the socket. False: too much is unread, or descriptors are used up.
    bool reserve(const Ticket& ticket, int socket, std::size_t bytes);
    // The same for a few words, which may always be sent.
    void reserve_little(const Ticket& ticket, int socket);

    // It has been sent its answer. What is left is that the client closes, and that this is noticed: who has read all
    // may come again meanwhile, and must not find that it is too many.
    void answered(const Ticket& ticket);

    // Forgets what was read meanwhile, and cuts off who takes nothing over TCP. From time to time.
    void sweep();

    struct Figures {
        std::size_t open = 0;
        std::size_t unread_bytes = 0;
    };
    Figures figures();

private:
    struct Usage {
        std::size_t served = 0;
        std::size_t told = 0;
        std::size_t over = 0;  // answered and read, but not closed
        std::size_t unread = 0;
    };
    // first: of its kind, second: of this user.
    [[nodiscard]] std::pair<Usage, Usage> usage(const Client& client) const;
    [[nodiscard]] static bool is_within(const Client& client, std::size_t bound, std::size_t of_kind,
                                        std::size_t of_user);
    void leave(Entries::iterator entry);
    void refresh();

    const Bounds bounds_;
    std::mutex mutex_;  // guards what follows
    Entries entries_;
    Clock::time_point next_sweep_;
};

}  // namespace natra::api
