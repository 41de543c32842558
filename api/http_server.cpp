// SPDX-License-Identifier: Apache-2.0
#include "api/http_server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
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

#include "api/mailbox.hpp"
#include "api/problem.hpp"
#include "api/request_reader.hpp"
#include "api/sending.hpp"
#include "daemon/util/log.hpp"

namespace natra::api {
namespace {

namespace Aio = Pistache::Aio;
namespace Tcp = Pistache::Tcp;
using Clock = std::chrono::steady_clock;

constexpr const char* connection_key = "natra";
constexpr const char* stopping_text = "natrad is stopping";

// What a client may go on sending after it was answered, before it is cut off.
constexpr std::size_t max_ignored_bytes = 1024UL * 1024;

struct OtherEnd {
    Caller caller;
    Client client;
};

bool is_loopback(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return false;
    if (address.ss_family == AF_INET) {
        const auto& in = reinterpret_cast<const sockaddr_in&>(address);
        return ntohl(in.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
    }
    if (address.ss_family != AF_INET6) return false;
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&in6) || (IN6_IS_ADDR_V4MAPPED(&in6) && in6.s6_addr[12] == IN_LOOPBACKNET);
}

OtherEnd other_end(int fd, bool read_only) {
    if (read_only)
        return {.caller = {.may_write = false, .who = "a read-only socket", .loopback = is_loopback(fd)}, .client = {}};
    ucred cred{};
    socklen_t size = sizeof cred;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        throw std::system_error(errno, std::generic_category(), "SO_PEERCRED");
    const bool root = cred.uid == 0;
    return {.caller = {.may_write = root, .who = concat("uid ", cred.uid, ", pid ", cred.pid)},
            .client = {.kind = root ? Client::Kind::root : Client::Kind::user, .uid = cred.uid}};
}

}  // namespace

struct HttpServer::Shared {
    Shared(const HttpSettings& with, Handle handler, Answered observer)
        : handle(std::move(handler)), answered(std::move(observer)), settings(with), accounts(settings.bounds),
          unanswered_of(settings.workers) {}

    const Handle handle;
    const Answered answered;
    const HttpSettings settings;
    Accounts accounts;
    std::atomic<bool> stopping = false;
    std::atomic<std::size_t> unanswered = 0;              // connections
    std::vector<std::atomic<std::size_t>> unanswered_of;  // each worker's, without those answered later
    std::atomic<std::uint64_t> refused = 0;
    std::atomic<std::uint64_t> bad = 0;
    std::atomic<std::uint64_t> lost = 0;
};

namespace {

using Shared = HttpServer::Shared;

// Made by the thread that accepts. From when that has handed it over it is one worker's, whose thread destroys it, or
// the thread that ends the server. Two may own it: Pistache's Peer, which goes when the client sends no more, and the
// worker, while the answer is made elsewhere.
struct Connection {
    Connection(Shared& owner, Caller from, Accounts::Ticket admitted, std::atomic<std::size_t>& of_worker)
        : shared(owner), caller(std::move(from)), ticket(std::move(admitted)), unanswered_of_worker(of_worker) {
        ++shared.unanswered;
        ++unanswered_of_worker;
    }
    ~Connection() {
        if (answered) return;
        --shared.unanswered;
        worker_is_free();
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // To a request that was handled.
    void answer(int fd, const Response& response) {
        const auto& request = reader.request();
        const bool with_body = request.method != "HEAD";
        if (shared.answered) shared.answered(request, response.status);
        const Message message(response, with_body);
        if (shared.accounts.reserve(ticket, fd, message.size())) return finish(fd, message);
        ++shared.refused;
        tell(fd, problem(503, "too much of what was sent is not read yet"), with_body);
    }
    // The answer is given later, into this descriptor: a client may have shut down its side by then, with which the
    // peer and its descriptor go.
    void wait(UniqueFd fd) {
        own_fd_ = std::move(fd);
        deadline_ = Clock::now() + shared.settings.answer_time;
        worker_is_free();
    }
    [[nodiscard]] bool waits() const { return static_cast<bool>(own_fd_); }
    void answer_later(const Response& response) {
        answer(own_fd_.get(), response);
        own_fd_.reset();
    }
    // An answer of a few words, whatever is unread.
    void tell(int fd, const Response& response, bool with_body = true) {
        shared.accounts.reserve_little(ticket, fd);
        finish(fd, {response, with_body});
    }
    [[nodiscard]] bool is_late(Clock::time_point now) {
        const auto& settings = shared.settings;
        if (!deadline_) deadline_ = now + (ticket.served() ? settings.request_time : settings.linger_time);
        if (shared.stopping && !answered && !waits() && !hurried_) {
            hurried_ = true;
            deadline_ = std::min(*deadline_, now + settings.stop_time);
        }
        return now >= *deadline_;
    }

    Shared& shared;
    const Caller caller;
    const Accounts::Ticket ticket;
    std::atomic<std::size_t>& unanswered_of_worker;
    RequestReader reader;
    bool continued = false;  // "100 Continue" was sent
    bool answered = false;
    std::size_t ignored_bytes = 0;

private:
    void finish(int fd, const Message& message) {
        deadline_ = Clock::now() + shared.settings.linger_time;
        if (!send_answer(fd, message)) ++shared.lost;
        answered = true;
        shared.accounts.answered(ticket);
        --shared.unanswered;
        worker_is_free();
    }
    void worker_is_free() {
        if (std::exchange(occupies_worker_, false)) --unanswered_of_worker;
    }

    bool occupies_worker_ = true;
    UniqueFd own_fd_;  // while the answer is made elsewhere
    // From when its worker first looks at it: one that was busy with others must not call it late.
    std::optional<Clock::time_point> deadline_;
    bool hurried_ = false;
};

// One worker's connections whose answers are made elsewhere. The worker's alone, but for the mailbox.
struct Waiting {
    Waiting() : mailbox(std::make_shared<Mailbox>()) {}

    const std::shared_ptr<Mailbox> mailbox;  // may outlive the server, as answers do
    std::vector<std::shared_ptr<Connection>> connections;
};

// Takes the answer from any thread to the connection's worker.
HttpServer::Later later_for(const std::shared_ptr<Mailbox>& mailbox, const std::shared_ptr<Connection>& connection) {
    return [mailbox, to = std::weak_ptr(connection)](const SharedResponse& response) {
        mailbox->post([to, response] {
            const auto still = to.lock();
            if (still && still->waits()) still->answer_later(*response);
        });
    };
}

class Front final : public Tcp::Handler {
    PROTOTYPE_OF(Tcp::Handler, Front)

public:
    Front(Shared& shared, std::shared_ptr<Waiting> waiting) : shared_(&shared), waiting_(std::move(waiting)) {}

    // Must not take the peer away: Pistache goes on using it. shutdown(2) makes Pistache do so.
    void onInput(const char* buffer, std::size_t length, const std::shared_ptr<Tcp::Peer>& peer) override {
        const auto connection = std::static_pointer_cast<Connection>(peer->tryGetData(connection_key));
        if (!connection) return;
        try {
            take(connection, peer->fd(), {buffer, length});
        } catch (const std::exception& e) {
            // Memory is what can fail here; without an answer the client sees the end of the connection.
            log::error(concat("REST: ", e.what()));
            ::shutdown(peer->fd(), SHUT_RDWR);
        }
    }

private:
    void take(const std::shared_ptr<Connection>& owned, int fd, std::string_view bytes) {
        auto& connection = *owned;
        if (connection.answered || connection.waits()) {
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
                shared_->accounts.reserve_little(connection.ticket, fd);
                if (!send_at_once(fd, "HTTP/1.1 100 Continue\r\n\r\n")) ::shutdown(fd, SHUT_RDWR);
            }
            return;
        }
        if (state == RequestReader::State::refused) {
            ++shared_->bad;
            return connection.tell(fd, problem(reader.status(), reader.detail()));
        }
        const bool with_body = reader.request().method != "HEAD";
        if (!connection.ticket.served()) return connection.tell(fd, problem(503, "too many connections"), with_body);
        if (shared_->stopping) return connection.tell(fd, problem(503, stopping_text), with_body);
        if (const auto response = handled(owned)) return connection.answer(fd, *response);
        UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!own) return connection.answer(fd, problem(503, "natrad has no descriptors left; the request may succeed"));
        waiting_->connections.push_back(owned);
        connection.wait(std::move(own));
    }

    // Null: the answer comes later. Not before this worker is through with what it does now.
    SharedResponse handled(const std::shared_ptr<Connection>& connection) {
        const auto& request = connection->reader.request();
        try {
            return shared_->handle(request, connection->caller, later_for(waiting_->mailbox, connection));
        } catch (const std::exception& e) {
            log::error(concat("REST: ", request.method, ": ", e.what()));
            return api::shared(own_error());
        }
    }

    Shared* shared_;
    std::shared_ptr<Waiting> waiting_;
};

// One worker's connections. Closes those whose time is over, and catches what would end the process in Pistache's
// thread.
class Connections final : public Tcp::Transport {
public:
    explicit Connections(Shared& shared) : Connections(shared, std::make_shared<Waiting>()) {}
    Connections(Shared& shared, const std::shared_ptr<Waiting>& waiting)
        : Transport(std::make_shared<Front>(shared, waiting)), shared_(shared), waiting_(waiting) {
        timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
        if (!timer_) throw std::system_error(errno, std::generic_category(), "timerfd_create");
        constexpr long period_ns = 250'000'000;
        const itimerspec period{.it_interval = {0, period_ns}, .it_value = {0, period_ns}};
        ::timerfd_settime(timer_.get(), 0, &period, nullptr);
    }
    ~Connections() override {
        waiting_->mailbox->close();
        waiting_->connections.clear();
        for (const auto& [fd, peer] : peers) ::close(fd);
    }

    // For the thread that accepts, which keeps nothing of it.
    void hand_over(UniqueFd fd, std::shared_ptr<Connection> connection) {
        // A task can be copied, a descriptor cannot.
        waiting_->mailbox->post([this, fd = std::make_shared<UniqueFd>(std::move(fd)),
                                 connection = std::move(connection)]() mutable { begin(*fd, std::move(connection)); });
    }

    std::shared_ptr<Aio::Handler> clone() const override { return std::make_shared<Connections>(shared_); }

    void registerPoller(Pistache::Polling::Epoll& poller) override {
        Transport::registerPoller(poller);
        // As Pistache's own queues do it: the tag is the descriptor, which no peer has.
        for (const int fd : {timer_.get(), waiting_->mailbox->fd()})
            poller.addFd(fd, Pistache::Flags<Pistache::Polling::NotifyOn>(Pistache::Polling::NotifyOn::Read),
                         Pistache::Polling::Tag(static_cast<std::uint64_t>(fd)));
    }

    void onReady(const Aio::FdSet& fds) override {
        guarded([&] { Transport::onReady(fds); });
        guarded([&] { waiting_->mailbox->run(); });
        drop_answered();
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

    void begin(UniqueFd& fd, std::shared_ptr<Connection> connection) {
        // Pistache wants an address; nobody asks for it.
        const Pistache::Address nowhere(Pistache::Ipv4::loopback(), Pistache::Port(0));
        const auto peer = Tcp::Peer::Create(fd.get(), nowhere);
        peer->putData(connection_key, std::move(connection));
        (void)fd.release();  // the transport closes it
        handleNewPeer(peer);
    }

    void drop_answered() {
        std::erase_if(waiting_->connections, [](const auto& each) { return !each->waits(); });
    }

    void sweep() {
        const auto now = Clock::now();
        for (const auto& connection : waiting_->connections)
            if (connection->is_late(now))
                connection->answer_later(
                    problem(503, "natrad did not finish in time; a change may still come into force"));
        drop_answered();
        std::vector<std::shared_ptr<Tcp::Peer>> late;
        for (const auto& [fd, peer] : peers) {
            const auto connection = std::static_pointer_cast<Connection>(peer->tryGetData(connection_key));
            if (!connection) continue;
            if (connection->waits() || !connection->is_late(now)) continue;
            late.push_back(peer);
            if (connection->answered) continue;
            connection->tell(fd, shared_.stopping ? problem(503, stopping_text)
                                                  : problem(408, "the request did not arrive in time"));
        }
        for (const auto& peer : late) removePeer(peer);
        shared_.accounts.sweep();
    }

    Shared& shared_;
    const std::shared_ptr<Waiting> waiting_;
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
            if (watched[0].revents != 0) return take_those_who_wait();
            for (std::size_t i = 0; i < listeners_.size(); ++i)
                if (watched[i + 1].revents != 0) accept_one(listeners_[i]);
        }
    }

    // With a socket of its own goes who has connected and was not accepted.
    void take_those_who_wait() {
        for (const auto& listener : listeners_) {
            if (!listener.own) continue;
            // Nobody connects any more; those who have are still there.
            ::shutdown(listener.fd.get(), SHUT_RD);
            while (accept_one(listener)) {
            }
        }
    }

    // False if there was nobody, or nobody can be taken.
    bool accept_one(const Listener& listener) {
        UniqueFd fd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd) {
            // Descriptors or memory are used up: trying again at once would only take processor time.
            constexpr auto pause = std::chrono::milliseconds(100);
            if (errno == EINTR || errno == ECONNABORTED) return true;
            if (errno != EAGAIN && errno != EINVAL) std::this_thread::sleep_for(pause);
            return false;
        }
        try {
            auto end = other_end(fd.get(), listener.read_only);
            auto ticket = shared_.accounts.enter(end.client);
            if (!ticket || !ticket->served()) ++shared_.refused;
            // A client that finds its connection closed before it has sent anything says that there is no server.
            // Those who come in good faith are told in an answer; a flood is not.
            if (ticket) hand_over(std::move(fd), std::move(end.caller), *std::move(ticket));
        } catch (const std::exception& e) {
            log::error(concat("REST: ", e.what()));
        }
        return true;
    }

    void hand_over(UniqueFd fd, Caller caller, Accounts::Ticket ticket) {
        const auto worker = idlest_worker();
        auto connection =
            std::make_shared<Connection>(shared_, std::move(caller), std::move(ticket), shared_.unanswered_of[worker]);
        std::static_pointer_cast<Connections>(workers_[worker])->hand_over(std::move(fd), std::move(connection));
    }

    // The one with the fewest unanswered connections, in turn among equals. Each in turn, whatever it has to do, would
    // leave clients that come again and again queueing behind the slowest one while the others have nothing to do.
    std::size_t idlest_worker() {
        const auto count = workers_.size();
        const auto first = next_++ % count;
        auto best = first;
        for (std::size_t i = 1; i < count; ++i) {
            const auto each = (first + i) % count;
            if (shared_.unanswered_of[each] < shared_.unanswered_of[best]) best = each;
        }
        return best;
    }

    Shared& shared_;
    std::vector<Listener> listeners_;
    UniqueFd wakeup_;
    std::shared_ptr<Aio::Reactor> reactor_;
    std::vector<std::shared_ptr<Aio::Handler>> workers_;
    std::size_t next_ = 0;
    std::thread acceptor_;
};

HttpServer::HttpServer(std::vector<Listener> listeners, const HttpSettings& settings, Handle handle, Answered answered)
    : shared_(std::make_shared<Shared>(settings, std::move(handle), std::move(answered))) {
    impl_ = std::make_unique<Impl>(std::move(listeners), *shared_);
}

HttpServer::~HttpServer() = default;

bool HttpServer::drain(std::chrono::milliseconds time, const std::function<void()>& meanwhile) {
    const auto deadline = Clock::now() + time;
    impl_->stop_accepting();
    shared_->stopping = true;
    while (shared_->unanswered != 0 && Clock::now() < deadline) {
        meanwhile();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return shared_->unanswered == 0;
}

HttpServer::Figures HttpServer::figures() const {
    const auto accounts = shared_->accounts.figures();
    return {.open = accounts.open,
            .unread_bytes = accounts.unread_bytes,
            .refused = shared_->refused,
            .bad = shared_->bad,
            .lost = shared_->lost};
}

}  // namespace natra::api
