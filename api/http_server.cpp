// SPDX-License-Identifier: Apache-2.0
#include "api/http_server.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <thread>

#include <pistache/net.h>
#include <pistache/peer.h>
#include <pistache/reactor.h>
#include <pistache/tcp.h>
#include <pistache/transport.h>

#include "api/problem.hpp"
#include "api/request_reader.hpp"
#include "daemon/util/log.hpp"

namespace natra::api {
namespace {

namespace Aio = Pistache::Aio;
namespace Tcp = Pistache::Tcp;
using Clock = std::chrono::steady_clock;

constexpr const char* connection_key = "natra";

// What a client may go on sending after it was answered, before it is cut off.
constexpr std::size_t max_ignored_bytes = 1024 * 1024;

std::string head_of(const Response& response) {
    auto out = concat("HTTP/1.1 ", response.status, " ", reason_phrase(response.status), "\r\n");
    if (!response.content_type.empty()) out += concat("Content-Type: ", response.content_type, "\r\n");
    for (const auto& [name, value] : response.headers) out += concat(name, ": ", value, "\r\n");
    out += concat("Content-Length: ", response.body.size(),
                  "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
    return out;
}

// At once and whole, or not at all as far as the client can tell: the length in the head is not reached then.
bool send_at_once(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool send_response(int fd, const Response& response, bool with_body) {
    auto bytes = head_of(response);
    if (with_body) bytes += response.body;
    // The kernel counts its own overhead, too, and doubles what it is told. Forcing needs CAP_NET_ADMIN.
    const int room = static_cast<int>(std::min<std::size_t>(bytes.size() + 32 * 1024, 64 << 20));
    if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    const bool whole = send_at_once(fd, bytes);
    ::shutdown(fd, whole ? SHUT_WR : SHUT_RDWR);
    return whole;
}

Caller caller_of(int fd, bool read_only) {
    if (read_only) return {.may_write = false, .who = "a read-only socket"};
    ucred cred{};
    socklen_t size = sizeof cred;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) return {.may_write = false, .who = "unknown"};
    return {.may_write = cred.uid == 0, .who = concat("uid ", cred.uid, ", pid ", cred.pid)};
}

}  // namespace

struct HttpServer::Shared {
    Handle handle;
    HttpSettings settings;
    std::atomic<bool> stopping = false;
    std::atomic<std::size_t> busy = 0;  // requests under way
    // Each kind has a maximum of its own: whoever may only read must not keep root out.
    std::atomic<std::size_t> open = 0;
    std::atomic<std::size_t> open_read_only = 0;
    std::atomic<std::uint64_t> refused = 0;
    std::atomic<std::uint64_t> bad = 0;
    std::atomic<std::uint64_t> lost = 0;
};

namespace {

using Shared = HttpServer::Shared;

// Lives and dies with Pistache's Peer, on one worker's thread.
struct Connection {
    Connection(Shared& owner, int fd, bool is_read_only, bool is_beyond_maximum)
        : shared(owner), open(is_read_only ? owner.open_read_only : owner.open), caller(caller_of(fd, is_read_only)),
          beyond_maximum(is_beyond_maximum) {
        ++open;
    }
    ~Connection() { --open; }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] std::chrono::milliseconds patience() const {
        return beyond_maximum ? shared.settings.linger_time : shared.settings.request_time;
    }

    Shared& shared;
    std::atomic<std::size_t>& open;
    const Caller caller;
    const bool beyond_maximum;
    RequestReader reader;
    bool continued = false;  // "100 Continue" was sent
    bool answered = false;
    std::size_t ignored_bytes = 0;
    // From when its worker first looks at it: one that was busy with others must not call it late.
    std::optional<Clock::time_point> deadline;
};

class Busy {
public:
    explicit Busy(Shared& shared) : shared_(shared) { ++shared_.busy; }
    ~Busy() { --shared_.busy; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

private:
    Shared& shared_;
};

class Front final : public Tcp::Handler {
    PROTOTYPE_OF(Tcp::Handler, Front)

public:
    explicit Front(Shared& shared) : shared_(&shared) {}

    // Must not take the peer away: Pistache goes on using it. shutdown(2) makes Pistache do so.
    void onInput(const char* buffer, std::size_t length, const std::shared_ptr<Tcp::Peer>& peer) override {
        const auto connection = std::static_pointer_cast<Connection>(peer->tryGetData(connection_key));
        if (!connection) return;
        try {
            take(*connection, peer->fd(), {buffer, length});
        } catch (const std::exception& e) {
            // Memory is what can fail here; without an answer the client sees the end of the connection.
            log::error(concat("REST: ", e.what()));
            ::shutdown(peer->fd(), SHUT_RDWR);
        }
    }

private:
    void take(Connection& connection, int fd, std::string_view bytes) {
        if (connection.answered) {
            connection.ignored_bytes += bytes.size();
            // Pistache reads for as long as there is something to read.
            if (connection.ignored_bytes > max_ignored_bytes) ::shutdown(fd, SHUT_RDWR);
            return;
        }
        auto& reader = connection.reader;
        const auto state = reader.feed(bytes);
        if (state == RequestReader::State::incomplete) {
            if (reader.awaits_continue() && !connection.continued) {
                connection.continued = true;
                if (!send_at_once(fd, "HTTP/1.1 100 Continue\r\n\r\n")) ::shutdown(fd, SHUT_RDWR);
            }
            return;
        }
        if (state == RequestReader::State::refused) {
            ++shared_->bad;
            return answer(connection, fd, problem(reader.status(), reader.detail()), true);
        }
        if (connection.beyond_maximum) return answer(connection, fd, problem(503, "too many connections"), true);
        // Counted before it is asked whether the server stops: one of the two sees the other.
        const Busy busy(*shared_);
        auto response = shared_->stopping ? problem(503, "natrad is stopping") : handled(connection);
        answer(connection, fd, response, reader.request().method != "HEAD");
    }

    Response handled(const Connection& connection) {
        try {
            return shared_->handle(connection.reader.request(), connection.caller);
        } catch (const std::exception& e) {
            log::error(concat("REST: ", connection.reader.request().method, ": ", e.what()));
            return problem(500, "natrad met an error of its own; its log says more");
        }
    }

    void answer(Connection& connection, int fd, const Response& response, bool with_body) {
        connection.answered = true;
        connection.deadline = Clock::now() + shared_->settings.linger_time;
        if (!send_response(fd, response, with_body)) ++shared_->lost;
    }

    Shared* shared_;
};

// One worker's connections. Closes those whose time is over, and catches what would end the process in Pistache's
// thread.
class Connections final : public Tcp::Transport {
public:
    explicit Connections(Shared& shared) : Transport(std::make_shared<Front>(shared)), shared_(shared) {
        timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
        if (!timer_) throw std::system_error(errno, std::generic_category(), "timerfd_create");
        constexpr long period_ns = 250'000'000;
        const itimerspec period{.it_interval = {0, period_ns}, .it_value = {0, period_ns}};
        ::timerfd_settime(timer_.get(), 0, &period, nullptr);
    }
    ~Connections() override {
        for (const auto& [fd, peer] : peers) ::close(fd);
    }

    std::shared_ptr<Aio::Handler> clone() const override { return std::make_shared<Connections>(shared_); }

    void registerPoller(Pistache::Polling::Epoll& poller) override {
        Transport::registerPoller(poller);
        // As Pistache's own queues do it: the tag is the descriptor, which no peer has.
        poller.addFd(timer_.get(), Pistache::Flags<Pistache::Polling::NotifyOn>(Pistache::Polling::NotifyOn::Read),
                     Pistache::Polling::Tag(static_cast<std::uint64_t>(timer_.get())));
    }

    void onReady(const Aio::FdSet& fds) override {
        guarded([&] { Transport::onReady(fds); });
        // Only now: an event in `fds` may be about a peer that would be gone.
        std::uint64_t expirations = 0;
        if (::read(timer_.get(), &expirations, sizeof expirations) > 0) guarded([&] { sweep(); });
    }

private:
    template <class Body> static void guarded(Body body) {
        try {
            body();
        } catch (const std::exception& e) {
            log::error(concat("REST: ", e.what()));
        }
    }

    void sweep() {
        const auto now = Clock::now();
        std::vector<std::shared_ptr<Tcp::Peer>> late;
        for (const auto& [fd, peer] : peers) {
            const auto connection = std::static_pointer_cast<Connection>(peer->tryGetData(connection_key));
            if (!connection) continue;
            if (!connection->deadline) connection->deadline = now + connection->patience();
            if (now < *connection->deadline) continue;
            late.push_back(peer);
            if (!connection->answered) send_response(fd, problem(408, "the request did not arrive in time"), true);
        }
        for (const auto& peer : late) removePeer(peer);
    }

    Shared& shared_;
    UniqueFd timer_;
};

}  // namespace

class HttpServer::Impl {
public:
    Impl(std::vector<Listener> listeners, Shared& shared)
        : shared_(shared), listeners_(std::move(listeners)), wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          reactor_(Aio::Reactor::create()) {
        if (!wakeup_) throw std::system_error(errno, std::generic_category(), "eventfd");
        reactor_->init(Aio::AsyncContext(shared.settings.workers, "natra-rest"));
        const auto key = reactor_->addHandler(std::make_shared<Connections>(shared));
        reactor_->run();
        workers_ = reactor_->handlers(key);
        acceptor_ = std::thread([this] {
            ::pthread_setname_np(::pthread_self(), "natra-accept");
            accept_until_stopped();
        });
    }
    ~Impl() {
        stop_accepting();
        reactor_->shutdown();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void stop_accepting() {
        if (!acceptor_.joinable()) return;
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
        acceptor_.join();
        // Those that systemd keeps go on listening: the next natrad takes what arrives meanwhile.
        listeners_.clear();
    }

private:
    void accept_until_stopped() {
        std::vector<pollfd> watched{{.fd = wakeup_.get(), .events = POLLIN, .revents = 0}};
        for (const auto& listener : listeners_)
            watched.push_back({.fd = listener.fd.get(), .events = POLLIN, .revents = 0});
        for (;;) {
            if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
            if (watched[0].revents != 0) return;
            for (std::size_t i = 0; i < listeners_.size(); ++i)
                if (watched[i + 1].revents != 0) accept_one(listeners_[i]);
        }
    }

    void accept_one(const Listener& listener) {
        UniqueFd fd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd) {
            // Descriptors or memory are used up: trying again at once would only take processor time.
            constexpr auto pause = std::chrono::milliseconds(100);
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) std::this_thread::sleep_for(pause);
            return;
        }
        try {
            const std::size_t open = listener.read_only ? shared_.open_read_only : shared_.open;
            const bool beyond_maximum = open >= shared_.settings.max_connections;
            if (beyond_maximum) ++shared_.refused;
            // A client that finds its connection closed before it has sent anything says that there is no server.
            // Those who come in good faith are told in an answer; a flood is not.
            if (open >= 2 * shared_.settings.max_connections) return;
            hand_over(std::move(fd), listener.read_only, beyond_maximum);
        } catch (const std::exception& e) {
            log::error(concat("REST: ", e.what()));
        }
    }

    void hand_over(UniqueFd fd, bool read_only, bool beyond_maximum) {
        // Pistache wants an address; nobody asks for it.
        const Pistache::Address nowhere(Pistache::Ipv4::loopback(), Pistache::Port(0));
        auto connection = std::make_shared<Connection>(shared_, fd.get(), read_only, beyond_maximum);
        const auto peer = Tcp::Peer::Create(fd.get(), nowhere);
        peer->putData(connection_key, std::move(connection));
        const auto& worker = workers_[next_++ % workers_.size()];
        (void)fd.release();  // the transport closes it
        std::static_pointer_cast<Tcp::Transport>(worker)->handleNewPeer(peer);
    }

    Shared& shared_;
    std::vector<Listener> listeners_;
    UniqueFd wakeup_;
    std::shared_ptr<Aio::Reactor> reactor_;
    std::vector<std::shared_ptr<Aio::Handler>> workers_;
    std::size_t next_ = 0;
    std::thread acceptor_;
};

HttpServer::HttpServer(std::vector<Listener> listeners, const HttpSettings& settings, Handle handle)
    : shared_(std::make_shared<Shared>()) {
    shared_->handle = std::move(handle);
    shared_->settings = settings;
    impl_ = std::make_unique<Impl>(std::move(listeners), *shared_);
}

HttpServer::~HttpServer() = default;

bool HttpServer::drain(std::chrono::milliseconds time, const std::function<void()>& meanwhile) {
    const auto deadline = Clock::now() + time;
    impl_->stop_accepting();
    shared_->stopping = true;
    while (shared_->busy != 0 && Clock::now() < deadline) {
        meanwhile();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return shared_->busy == 0;
}

HttpServer::Figures HttpServer::figures() const {
    return {.open = shared_->open + shared_->open_read_only,
            .refused = shared_->refused,
            .bad = shared_->bad,
            .lost = shared_->lost};
}

}  // namespace natra::api
