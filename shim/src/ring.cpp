#include "ring.hpp"

#include <sched.h>
#include <sys/file.h>

#include <cstring>

#include "errors.hpp"
#include "system.hpp"

namespace tk {
namespace {

constexpr std::uint64_t kMaxCommands = 1u << 20;
constexpr std::int64_t kSpin = 50000;  // ns an adaptive taker looks before it sleeps

std::uint64_t magic_word() {
    std::uint64_t word;
    std::memcpy(&word, kRingMagic, sizeof word);
    return word;
}

std::uint32_t this_cpu() { return static_cast<std::uint32_t>(sched_getcpu() + 1); }  // 0 where nobody knows

std::size_t bytes_of(std::uint64_t capacity) { return kTradeHeaderSize + capacity * sizeof(RingCommand); }

}  // namespace

std::int32_t Ring::create(const char* path, std::uint64_t capacity) {
    if (capacity < 2 || capacity > kMaxCommands)
        return fail(TK_E_ARG, "ring capacity %llu is not between 2 and %llu commands",
                    static_cast<unsigned long long>(capacity), static_cast<unsigned long long>(kMaxCommands));
    std::uint64_t rounded = 2;
    while (rounded < capacity) rounded *= 2;
    int lock = -1;
    if (const std::int32_t rc = create_file(path, bytes_of(rounded), &mapping_, &lock); rc != TK_OK) return rc;
    const Descriptor locked(lock);
    path_ = path;
    header_ = new (mapping_.base()) RingHeader();
    commands_ = reinterpret_cast<RingCommand*>(mapping_.base() + kTradeHeaderSize);
    header_->LayoutVersion = kTradeLayoutVersion;
    header_->HeaderSize = kTradeHeaderSize;
    header_->CommandSize = sizeof(RingCommand);
    header_->Capacity = capacity_ = rounded;
    header_->TotalSize = mapping_.size();
    header_->CreatorProcess = process_identity(getpid());
    // SYNC ring magic (release): a ring with its magic is complete. Partner: the acquire in attach().
    header_->Magic.store(magic_word(), std::memory_order_release);
    flock(lock, LOCK_UN);  // closing would not do: the mapping keeps the open file, and with it the lock
    return TK_OK;
}

std::int32_t Ring::attach(const char* path) {
    Mapping mapping;
    Descriptor fd(-1);
    alignas(RingHeader) char copy[kTradeHeaderSize];
    // SYNC ring magic (acquire): in attach_file(), before it copies the header. Partner: the release in create().
    if (const std::int32_t rc = attach_file(path, copy, sizeof copy, &fd, &mapping); rc != TK_OK) return rc;
    const auto* h = reinterpret_cast<const RingHeader*>(copy);
    if (h->Magic.load(std::memory_order_relaxed) != magic_word())
        return fail(TK_E_LAYOUT, "'%s' is not a command ring (wrong magic)", path);
    if (h->LayoutVersion != kTradeLayoutVersion || h->CommandSize != sizeof(RingCommand) || h->HeaderSize != kTradeHeaderSize)
        return fail(TK_E_LAYOUT, "'%s' has ring layout %u, this build reads %u; use the same tickengine on both sides",
                    path, h->LayoutVersion, kTradeLayoutVersion);
    const std::uint64_t capacity = h->Capacity;
    if (capacity < 2 || capacity > kMaxCommands || (capacity & (capacity - 1)) != 0 || mapping.size() != bytes_of(capacity))
        return fail(TK_E_LAYOUT, "'%s' is damaged: %llu commands in %zu bytes", path, static_cast<unsigned long long>(capacity), mapping.size());
    path_ = path;
    mapping_ = std::move(mapping);
    header_ = reinterpret_cast<RingHeader*>(mapping_.base());
    capacity_ = capacity;
    commands_ = reinterpret_cast<RingCommand*>(mapping_.base() + kTradeHeaderSize);
    return TK_OK;
}

std::int32_t Ring::put(std::uint32_t kind, std::uint64_t client_id, const char* payload, std::uint32_t size) {
    if (size > kTradePayload) return fail(TK_E_ARG, "a command holds %zu bytes, not %u", kTradePayload, size);
    const std::uint64_t number = header_->Put.load(std::memory_order_relaxed);
    // SYNC ring taken (acquire): partner is the release in done(); the place has been read for the last time.
    if (number - header_->Taken.load(std::memory_order_acquire) >= capacity_)
        return fail(TK_E_FULL, "%llu commands are waiting for the trader process already", static_cast<unsigned long long>(capacity_));
    RingCommand& c = *slot(number);
    c.PutMonotonic = monotonic_ns();
    c.Kind = kind;
    c.Size = size;
    c.ClientID = client_id;
    c.Cpu = this_cpu();
    std::memcpy(c.Payload, payload, size);
    // SYNC ring stamp (release): the command is complete. Partner: the acquire in next().
    __atomic_store_n(&c.Stamp, number + 1, __ATOMIC_RELEASE);
    header_->Put.store(number + 1, std::memory_order_relaxed);
    // SYNC ring sleep (seq_cst, writer side): the stamp is there before the look for the sleeper.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (header_->Asleep.load(std::memory_order_relaxed) != 0) wake();
    return TK_OK;
}

std::int32_t Ring::take_over() {
    std::uint64_t previous = header_->TakerProcess.load();
    if (process_alive(previous))
        return fail(TK_E_BUSY, "process %d takes the commands of '%s'", identity_pid(previous), path_.c_str());
    if (!header_->TakerProcess.compare_exchange_strong(previous, process_identity(getpid())))
        return fail(TK_E_BUSY, "process %d has just begun to take the commands of '%s'", identity_pid(previous), path_.c_str());
    taken_ = header_->Taken.load();
    return TK_OK;
}

void Ring::give_up() { header_->TakerProcess.store(0); }

const RingCommand* Ring::next() const {
    const RingCommand* c = slot(taken_);
    // SYNC ring stamp (acquire): partner is the release in put().
    return __atomic_load_n(&c->Stamp, __ATOMIC_ACQUIRE) == taken_ + 1 ? c : nullptr;
}

void Ring::done() {
    put_on_ = slot(taken_)->Cpu;
    // SYNC ring taken (release): the command has been read. Partner: the acquire in put().
    header_->Taken.store(++taken_, std::memory_order_release);
}

std::uint64_t Ring::waiting() const { return header_->Put.load() - header_->Taken.load(); }

void Ring::wait(std::int32_t wait_mode, std::int64_t timeout_ns) {
    const std::int64_t begin = monotonic_ns();
    const std::uint32_t word = header_->Wake.load();
    const std::int64_t spin = wait_mode == TK_WAIT_SPIN ? timeout_ns : wait_mode == TK_WAIT_BLOCK ? 0 : kSpin;
    while (monotonic_ns() - begin < spin) {
        // On the putter's own CPU there will be no command as long as it is kept from running.
        if (wait_mode == TK_WAIT_ADAPTIVE && put_on_ != 0 && put_on_ == this_cpu()) break;
        for (int i = 0; i < 64; ++i) {
            if (next() != nullptr || header_->Wake.load(std::memory_order_relaxed) != word) return;
            cpu_relax();
        }
    }
    if (wait_mode == TK_WAIT_SPIN) return;
    // SYNC ring sleep (seq_cst, reader side): announced before the last look. Partner: the fence in put().
    header_->Asleep.store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (next() == nullptr) futex_wait(&header_->Wake, word, timeout_ns);
    header_->Asleep.store(0);
}

void Ring::wake() {
    header_->Wake.fetch_add(1);
    futex_wake(&header_->Wake, INT_MAX);
}

}  // namespace tk
