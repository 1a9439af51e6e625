#include "connection.hpp"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <system_error>

namespace compat {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// All measured on the vendor's library.
constexpr int kReasonClosed = 0x1001;   // FIN or RST
constexpr int kReasonSilence = 0x2001;  // nothing received for the limit
constexpr int kReasonLength = 0x2003;   // a packet announces more than the protocol allows
constexpr int kReasonContent = 0xa001;  // lengths inside the content contradict each other
constexpr seconds kHeartbeatInterval(15);
constexpr seconds kRetryInterval(5);
constexpr std::uint32_t kRegisterSeconds = 39;

// The vendor's library buffers without a bound for a front that does not read.
constexpr std::size_t kMaxPendingBytes = 64u << 20;

thread_local const Connection* t_thread_of = nullptr;

int poll_timeout(Connection::Clock::time_point until, Connection::Clock::time_point now) {
    if (until <= now) return 0;
    // Rounded up: waking a fraction of a millisecond early would spin until the time has come.
    const auto ms = std::chrono::duration_cast<milliseconds>(until - now).count() + 1;
    return static_cast<int>(std::min<long long>(ms, 60 * 60 * 1000));
}

// A connect to a free port of the ephemeral range can meet itself; the kernel calls that a connection.
bool connected_to_itself(int fd) {
    sockaddr_storage own = {}, peer = {};
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    return getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
           getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 && own_size == peer_size &&
           std::memcmp(&own, &peer, own_size) == 0;
}

int start_connect(const Address& address) {
    sockaddr_storage target = {};
    socklen_t size = 0;
    if (!resolve(address, &target, &size)) return -1;
    const int fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, reinterpret_cast<sockaddr*>(&target), size) == 0 || errno == EINPROGRESS) return fd;
    close(fd);
    return -1;
}

bool connect_succeeded(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 && !connected_to_itself(fd);
}

}  // namespace

Connection::Connection(Receiver* receiver, const Habits& habits)
    : receiver_(receiver), habits_(habits), wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Connection::~Connection() { close(wake_fd_); }

void Connection::add_front(const char* text) {
    Address address;
    if (!parse_address(text, &address)) return;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        fronts_.push_back(address);
    }
    wake();
}

int Connection::send(Bytes packets, std::uint16_t series) {
    bool was_empty;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!connected_) return kNotConnected;
        if (pending_.size() - pending_at_ + packets.size() > kMaxPendingBytes) return kTooManyPending;
        if (series) write_u32(packets.data() + kSeqOffset, ++last_number_[series]);
        was_empty = pending_at_ == pending_.size();
        pending_.insert(pending_.end(), packets.begin(), packets.end());
    }
    if (was_empty && t_thread_of != this) wake();
    return 0;
}

bool Connection::connected() {
    std::lock_guard<std::mutex> lock(mutex_);
    return connected_;
}

void Connection::stop() {
    stop_.store(true, std::memory_order_relaxed);  // the event descriptor orders it for the sleeper
    wake();
}

void Connection::cut() {
    cut_.store(true, std::memory_order_relaxed);  // as in stop()
    wake();
}

bool Connection::on_own_thread() const { return t_thread_of == this; }

void Connection::wake() {
    const std::uint64_t one = 1;
    // The only possible failure is a counter that is full, and then the sleeper has been woken already.
    const ssize_t n = write(wake_fd_, &one, sizeof one);
    (void)n;
}

void Connection::drain_wake() {
    std::uint64_t count;
    const ssize_t n = read(wake_fd_, &count, sizeof count);
    (void)n;  // empty already is fine
}

void Connection::pause(milliseconds time) {
    const Clock::time_point until = Clock::now() + time;
    for (Clock::time_point now = Clock::now(); now < until && !stopping(); now = Clock::now()) {
        pollfd p = {wake_fd_, POLLIN, 0};
        if (poll(&p, 1, poll_timeout(until, now)) > 0) drain_wake();
    }
}

void Connection::run() {
    t_thread_of = this;
    receiver_->begin([this] { t_thread_of = this; });
    while (!stopping()) {
        const int fd = connect_any();
        if (fd < 0) break;
        const int reason = serve(fd);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            connected_ = false;
            pending_.clear();
            pending_at_ = 0;
            std::fill(std::begin(last_number_), std::end(last_number_), 0);
        }
        close(fd);
        if (stopping()) break;
        receiver_->disconnected(reason);
        pause(habits_.reconnect_delay);
    }
    receiver_->end();
}

// Tries all fronts at the same time, each again five seconds after it failed. Returns the first that is up,
// the others are closed without a byte; -1 after stop(). Of several that are up at the same time another one is
// taken than the last time: a front that accepts and then says nothing must not be taken for ever.
int Connection::connect_any() {
    ++first_;
    struct Attempt {
        Address address;
        int fd;
        Clock::time_point due;
    };
    std::vector<Attempt> attempts;
    std::vector<pollfd> polled;
    int winner = -1;
    while (!stopping() && winner < 0) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            while (attempts.size() < fronts_.size()) attempts.push_back({fronts_[attempts.size()], -1, Clock::now()});
        }
        Clock::time_point next = Clock::now() + std::chrono::hours(1);
        polled.assign(1, pollfd{wake_fd_, POLLIN, 0});
        for (Attempt& a : attempts) {
            if (a.fd < 0 && a.due <= Clock::now()) {
                a.due = Clock::now() + kRetryInterval;
                a.fd = start_connect(a.address);
            }
            if (a.fd < 0) next = std::min(next, a.due);
            polled.push_back(pollfd{a.fd, POLLOUT, 0});  // poll() passes over a negative descriptor
        }
        if (poll(polled.data(), polled.size(), poll_timeout(next, Clock::now())) < 0) continue;
        if (polled[0].revents) drain_wake();
        for (std::size_t k = 0; k < attempts.size() && winner < 0; ++k) {
            const std::size_t i = (k + first_) % attempts.size();
            if (!polled[i + 1].revents) continue;
            if (connect_succeeded(attempts[i].fd)) {
                winner = attempts[i].fd;
            } else {
                close(attempts[i].fd);
                attempts[i].due = Clock::now() + kRetryInterval;
            }
            attempts[i].fd = -1;
        }
    }
    for (const Attempt& a : attempts) {
        if (a.fd >= 0) close(a.fd);
    }
    return winner;
}

Connection::Flush Connection::flush(int fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (pending_at_ < pending_.size()) {
        // MSG_NOSIGNAL: the vendor's library lets a closed front kill the whole process here.
        const ssize_t n = ::send(fd, pending_.data() + pending_at_, pending_.size() - pending_at_, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Flush::kBlocked;
        if (n < 0) return Flush::kBroken;
        pending_at_ += static_cast<std::size_t>(n);
        last_sent_ = Clock::now();
    }
    pending_.clear();
    pending_at_ = 0;
    return Flush::kDone;
}

// From an open socket to the reason why it is one no more.
int Connection::serve(int fd) {
    parser_.reset();
    Clock::time_point last_received = last_sent_ = Clock::now();
    const seconds warn_after = (habits_.silence_limit + seconds(1)) / 2;
    bool warned = false;
    bool more_to_read = false;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        append_register(&pending_, kRegisterSeconds);
        connected_ = true;
    }
    flush(fd);
    receiver_->connected();

    while (!stopping()) {
        if (cut_.exchange(false, std::memory_order_relaxed)) return kReasonClosed;
        // Before reading, so that a callback that blocked for the whole limit ends the connection although
        // bytes are waiting. That is what the vendor's library does.
        Clock::time_point now = Clock::now();
        if (habits_.warns_of_silence && !warned && now - last_received >= warn_after) {
            warned = true;  // first, also where this thread was late for both
            receiver_->silence_warning(static_cast<int>(warn_after.count()));
        }
        if (now - last_received >= habits_.silence_limit) return kReasonSilence;
        const seconds heartbeat =
            parser_.register_seconds() ? seconds(parser_.register_seconds()) : kHeartbeatInterval;
        if (now - last_sent_ >= heartbeat) {
            std::lock_guard<std::mutex> lock(mutex_);
            append_heartbeat(&pending_);
            last_sent_ = now;
        }
        const Flush flushed = flush(fd);
        // Nothing can be sent any more, but what the front sent before it closed still counts: read to the end.
        const bool broken = flushed == Flush::kBroken;

        if (!more_to_read && !broken) {
            Clock::time_point next = std::min(last_received + habits_.silence_limit, last_sent_ + heartbeat);
            if (habits_.warns_of_silence && !warned) next = std::min(next, last_received + warn_after);
            const short events = static_cast<short>(POLLIN | (flushed == Flush::kBlocked ? POLLOUT : 0));
            pollfd p[2] = {{fd, events, 0}, {wake_fd_, POLLIN, 0}};
            if (poll(p, 2, poll_timeout(next, now)) < 0) continue;
            if (p[1].revents) drain_wake();
            if (!(p[0].revents & ~POLLOUT)) continue;
        }

        std::size_t room;
        std::uint8_t* const to = parser_.space(&room);
        const ssize_t n = recv(fd, to, room, 0);
        if (n == 0) return kReasonClosed;
        if (n < 0) {
            more_to_read = false;
            if (errno == EINTR) continue;
            if ((errno == EAGAIN || errno == EWOULDBLOCK) && !broken) continue;
            return kReasonClosed;
        }
        // A read that filled all the room has probably left bytes behind: save the poll() in between.
        more_to_read = static_cast<std::size_t>(n) == room;
        last_received = Clock::now();
        warned = false;
        if (receiver_->deaf()) continue;  // the bytes are overwritten by the next read
        parser_.filled(static_cast<std::size_t>(n));
        Message message;
        Parser::Result result = Parser::Result::kNeedMore;
        while (!stopping() && !receiver_->deaf() &&
               (result = parser_.next(&message)) == Parser::Result::kMessage) {
            receiver_->message(message);
        }
        receiver_->end_of_batch();
        if (result == Parser::Result::kTooLong) return kReasonLength;
        if (result == Parser::Result::kBroken) return kReasonContent;
    }
    flush(fd);  // a request made just before Release() still leaves if the front reads
    return kReasonClosed;
}

}  // namespace compat
