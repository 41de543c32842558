// SPDX-License-Identifier: Apache-2.0
#include "api/accounts.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace natra::api {
namespace {

constexpr std::chrono::milliseconds sweep_period{200};
// Connections that are over, for each that may be served: what clients that come again and again leave to be noticed.
constexpr std::size_t over_for_each = 8;

// Reset, or both ends have closed: nothing is kept any more, though SIOCOUTQ goes on telling what was unacknowledged.
bool is_over(int socket) {
    unsigned char state = 0;  // the first byte of tcp_info
    socklen_t size = sizeof state;
    return ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &state, &size) == 0 && state == TCP_CLOSE;
}

// What the kernel keeps for the other end. Of a Unix socket with the kernel's own overhead.
std::size_t unread_of(int socket) {
    if (is_over(socket)) return 0;
    int bytes = 0;
    return ::ioctl(socket, SIOCOUTQ, &bytes) < 0 ? 0 : static_cast<std::size_t>(std::max(bytes, 0));
}

bool is_local(int socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

// Over TCP a closing that lingers for no time drops what is unsent or unacknowledged.
void drop_unsent(int socket) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace

std::pair<Accounts::Usage, Accounts::Usage> Accounts::usage(const Client& client) const {
    std::pair<Usage, Usage> out;
    for (const auto& entry : entries_) {
        if (entry.client.kind != client.kind) continue;
        const auto add = [&](Usage& to) {
            const bool over = entry.answered && entry.unread == 0;
            ++(over ? to.over : entry.served ? to.served : to.told);
            to.unread += entry.unread;
        };
        add(out.first);
        if (entry.client.uid == client.uid) add(out.second);
    }
    return out;
}

bool Accounts::is_within(const Client& client, std::size_t bound, std::size_t of_kind, std::size_t of_user) {
    const auto share = bound - bound / 4;
    return of_kind <= bound && (client.kind != Client::Kind::user || of_user <= share);
}

std::optional<Accounts::Ticket> Accounts::enter(const Client& client) {
    const std::lock_guard lock(mutex_);
    const auto has_room = [&](std::size_t Usage::*what) {
        const auto [kind, user] = usage(client);
        return is_within(client, bounds_.connections, kind.*what + 1, user.*what + 1) &&
               is_within(client, over_for_each * bounds_.connections, kind.over, user.over);
    };
    bool served = has_room(&Usage::served);
    if (!served) {
        refresh();
        served = has_room(&Usage::served);
    }
    if (!served && !has_room(&Usage::told)) return std::nullopt;
    entries_.push_back({.client = client, .served = served, .fd = UniqueFd(), .progress = Clock::now()});
    return Ticket(this, std::prev(entries_.end()));
}

bool Accounts::reserve(const Ticket& ticket, int socket, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto& entry = *ticket.entry_;
    const auto has_room = [&] {
        const auto [kind, user] = usage(entry.client);
        return is_within(entry.client, bounds_.unread_bytes, kind.unread + bytes, user.unread + bytes);
    };
    if (!has_room()) {
        refresh();
        if (!has_room()) return false;
    }
    entry.fd.reset(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
    if (!entry.fd) return false;
    entry.unread = bytes;
    return true;
}

void Accounts::reserve_little(const Ticket& ticket, int socket) {
    const std::lock_guard lock(mutex_);
    ticket.entry_->fd.reset(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
}

void Accounts::answered(const Ticket& ticket) {
    const std::lock_guard lock(mutex_);
    ticket.entry_->answered = true;
}

void Accounts::leave(Entries::iterator entry) {
    const std::lock_guard lock(mutex_);
    if (entry->fd) entry->unread = unread_of(entry->fd.get());
    if (entry->unread == 0) {
        entries_.erase(entry);
        return;
    }
    entry->left = true;
    entry->progress = Clock::now();
    // It has been answered: what it may still say would only take memory.
    ::shutdown(entry->fd.get(), SHUT_RDWR);
}

void Accounts::refresh() {
    const auto now = Clock::now();
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        // A reservation stands until the answer is sent.
        if (!entry->fd || !(entry->answered || entry->left)) {
            ++entry;
            continue;
        }
        const auto unread = unread_of(entry->fd.get());
        if (unread < entry->unread) entry->progress = now;
        entry->unread = unread;
        const bool stuck = entry->left && now - entry->progress > bounds_.stuck_time && !is_local(entry->fd.get());
        if (stuck) drop_unsent(entry->fd.get());
        const bool over = entry->left && (unread == 0 || stuck);
        entry = over ? entries_.erase(entry) : std::next(entry);
    }
}

void Accounts::sweep() {
    const std::lock_guard lock(mutex_);
    if (Clock::now() < next_sweep_) return;
    next_sweep_ = Clock::now() + sweep_period;
    refresh();
}

Accounts::Figures Accounts::figures() {
    const std::lock_guard lock(mutex_);
    refresh();
    Figures out{.open = entries_.size()};
    for (const auto& entry : entries_) out.unread_bytes += entry.unread;
    return out;
}

}  // namespace natra::api
