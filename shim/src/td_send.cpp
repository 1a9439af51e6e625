// The way of an order: checked, journaled, sent, journaled. And the thread that takes orders from a ring.
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <cstring>
#include <unordered_set>

#include "errors.hpp"
#include "system.hpp"
#include "td_api.hpp"

namespace tk::td {
namespace {

constexpr std::int64_t kSlice = 200000000;

constexpr bool same(const char* a, const char* b) {
    for (; *a != '\0' && *a == *b; ++a, ++b) {
    }
    return *a == *b;
}

template <std::size_t N>
constexpr const StructField& field(const StructField (&fields)[N], const char* name) {
    for (const StructField& f : fields)
        if (same(f.name, name)) return f;
    return fields[N];  // not a constant expression: a name that is not there does not compile
}

constexpr const StructField& kOrderRef = field(kInputOrderFields, "OrderRef");
constexpr const StructField& kOrderRequest = field(kInputOrderFields, "RequestID");
constexpr const StructField& kActionRef = field(kInputOrderActionFields, "OrderActionRef");
constexpr const StructField& kActionRequest = field(kInputOrderActionFields, "RequestID");
constexpr const StructField& kFrontId = field(kRspUserLoginFields, "FrontID");
constexpr const StructField& kSessionId = field(kRspUserLoginFields, "SessionID");

std::uint64_t one_word(std::int32_t front_id, std::int32_t session_id) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(front_id)) << 32 | static_cast<std::uint32_t>(session_id);
}

}  // namespace

struct TdApi::Way {
    const char* noun;
    Struct type;
    api::Slot method;
    std::uint16_t sending, sent, not_sent;
};

namespace {
constexpr TdApi::Way kOrders{"order", kInputOrder, api::kReqOrderInsert, TK_TR_SENDING_ORDER, TK_TR_SENT_ORDER, TK_TR_ORDER_NOT_SENT};
constexpr TdApi::Way kActions{"action", kInputOrderAction, api::kReqOrderAction, TK_TR_SENDING_ACTION, TK_TR_SENT_ACTION, TK_TR_ACTION_NOT_SENT};
}  // namespace

// ---- the gate -----------------------------------------------------------------------------------

void TdApi::on_logged_in(const char* canonical) {
    std::int32_t front_id, session_id;
    std::memcpy(&front_id, canonical + kFrontId.offset, 4);
    std::memcpy(&session_id, canonical + kSessionId.offset, 4);
    const std::lock_guard<std::mutex> lock(login_mutex_);
    logged_in_ = true;
    logged_in_as_ = one_word(front_id, session_id);
    if (front_session_.load() != logged_in_as_) gate_.store(false);  // it was another session's
}

void TdApi::on_disconnected() {
    gate_.store(false);
    const std::lock_guard<std::mutex> lock(login_mutex_);
    logged_in_ = false;
    gate_.store(false);  // gate() may have been between its check and its store
}

std::int32_t TdApi::gate(std::int32_t front_id, std::int32_t session_id, std::int64_t next_order_ref, bool open) {
    if (!open) {
        gate_.store(false);
        return TK_OK;
    }
    if (const std::int32_t rc = ready(true); rc != TK_OK) return rc;
    const std::lock_guard<std::mutex> lock(login_mutex_);
    // The connection may have been lost, and another one made, since the caller has heard of its login.
    if (!logged_in_ || logged_in_as_ != one_word(front_id, session_id))
        return fail(TK_E_STATE, "front %d, session %d is not the session that is logged in now", front_id, session_id);
    front_session_.store(logged_in_as_);
    std::int64_t next = next_ref_.load();
    while (next < next_order_ref && !next_ref_.compare_exchange_weak(next, next_order_ref)) {
    }
    gate_.store(true);
    return TK_OK;
}

// ---- one order or action ------------------------------------------------------------------------

// It stays here: the journal says why. The text of the reason is tk_last_error()'s.
std::int32_t TdApi::refuse(const Way& way, const char* canonical, std::uint64_t client_id, std::int32_t code, bool* kept) {
    const std::string why = last_error();  // append() may set another one
    TradeEntry e;
    e.kind = way.not_sent;
    e.type = way.type;
    e.client_id = client_id;
    e.reason = code;
    e.is_last = true;
    e.text = why.c_str();
    e.text_length = why.size();
    e.has_data = true;
    e.payload = canonical;
    e.size = struct_table(way.type).size;
    *kept = journal_->append(e) == TK_OK;
    return fail(code, "%s", why.c_str());
}

// TK_OK: the vendor's method has been called, and *rc is what it returned. Anything else: it has not; *kept
// says whether the journal knows.
std::int32_t TdApi::send(const Way& way, const char* original, std::uint64_t client_id, std::int64_t* order_ref,
                         std::int32_t* rc, bool* kept) {
    const std::lock_guard<std::mutex> lock(sending_);
    const StructTable& t = struct_table(way.type);
    alignas(8) char canonical[kMaxPayload];
    std::memcpy(canonical, original, t.size);
    if (const std::int32_t error = ready(true); error != TK_OK) return refuse(way, canonical, client_id, error, kept);
    if (!gate_.load(std::memory_order_relaxed))
        return refuse(way, canonical, client_id, fail(TK_E_STATE, "the %s was not sent: there is no session that is ready", way.noun), kept);
    if (const std::int32_t error = journal_->room_for_orders(); error != TK_OK) return refuse(way, canonical, client_id, error, kept);
    const std::int32_t request_id = next_request_;
    const std::int64_t ref = next_ref_.load(std::memory_order_relaxed);
    if (way.type == kInputOrder) {
        // As the front writes its own: decimal, to the right.
        char text[32];
        if (std::snprintf(text, sizeof text, "%12lld", static_cast<long long>(ref)) != 12)
            return refuse(way, canonical, client_id, fail(TK_E_STATE, "the order reference %lld is too long", static_cast<long long>(ref)), kept);
        std::memcpy(canonical + kOrderRef.offset, text, kOrderRef.size);
        std::memcpy(canonical + kOrderRequest.offset, &request_id, 4);
    } else {
        std::int32_t action_ref;
        std::memcpy(&action_ref, canonical + kActionRef.offset, 4);
        if (action_ref == 0) std::memcpy(canonical + kActionRef.offset, &request_id, 4);
        std::memcpy(canonical + kActionRequest.offset, &request_id, 4);
    }
    std::memset(request_.data(), 0, vendor_size(*library_.tables, way.type));
    if (const std::int32_t error = to_vendor(*library_.tables, way.type, canonical, request_.data()); error != TK_OK)
        return refuse(way, canonical, client_id, error, kept);
    TradeEntry e;
    e.kind = way.sending;
    e.type = way.type;
    e.client_id = client_id;
    e.request_id = request_id;
    e.value = static_cast<std::int64_t>(front_session_.load(std::memory_order_relaxed));
    e.has_data = true;
    e.payload = canonical;
    e.size = t.size;
    // Readers are woken once, when it has left: waking would cost it more than all the rest.
    *kept = false;
    if (const std::int32_t error = journal_->append(e, nullptr, false); error != TK_OK) return error;
    ++next_request_;
    if (way.type == kInputOrder) {
        next_ref_.store(ref + 1, std::memory_order_relaxed);
        if (order_ref != nullptr) *order_ref = ref;
    }
    const std::uint64_t calls = order_calls_.load(std::memory_order_relaxed);
    order_calls_.store(calls + (way.type == kInputOrder ? 1 : 2), std::memory_order_relaxed);
    *rc = call_request(slot(way.method), api_, request_.data(), request_id);
    order_calls_.store(calls + 4, std::memory_order_relaxed);
    TradeEntry sent;
    sent.kind = way.sent;
    sent.client_id = client_id;
    sent.request_id = request_id;
    sent.reason = *rc;
    sent.value = e.value;
    sent.is_last = true;
    *kept = journal_->append(sent) == TK_OK;  // without it the order counts as one that may have left
    return TK_OK;
}

std::int32_t TdApi::insert(const char* canonical, std::uint64_t client_id, std::int64_t* order_ref, std::int32_t* rc) {
    bool kept;
    return send(kOrders, canonical, client_id, order_ref, rc, &kept);
}

std::int32_t TdApi::action(const char* canonical, std::uint64_t client_id, std::int32_t* rc) {
    bool kept;
    return send(kActions, canonical, client_id, nullptr, rc, &kept);
}

// ---- the sender ---------------------------------------------------------------------------------

std::int32_t TdApi::start_sender(Ring* ring, std::int32_t wait_mode) {
    if (sender_.joinable()) return fail(TK_E_STATE, "the sender is running already");
    if (wait_mode < TK_WAIT_ADAPTIVE || wait_mode > TK_WAIT_BLOCK) return fail(TK_E_ARG, "wait mode %d is not known", wait_mode);
    if (const std::int32_t rc = ready(false); rc != TK_OK) return rc;
    if (const std::int32_t rc = ring->take_over(); rc != TK_OK) return rc;
    if (const std::int32_t rc = refuse_left_behind(ring); rc != TK_OK) {
        ring->give_up();
        return rc;
    }
    ring_ = ring;
    stopping_.store(false);
    // Signals are the host's: none may be handled on this thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    sender_ = std::thread([this, wait_mode] { serve(wait_mode); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return TK_OK;
}

void TdApi::stop_sender() {
    if (!sender_.joinable()) return;
    stopping_.store(true);
    ring_->wake();
    sender_.join();
    ring_->give_up();
    ring_ = nullptr;
}

// What a dead predecessor has taken but not finished, and what came while nobody was there: it is not sent
// now, at another price and in another session. What the journal knows already was finished but for its mark.
std::int32_t TdApi::refuse_left_behind(Ring* ring) {
    if (ring->next() == nullptr) return TK_OK;
    std::unordered_set<std::uint64_t> known;
    for (std::uint64_t s = 0; s < journal_->head(); ++s) {
        const TradeRecord& r = journal_->at(s);
        if (r.Kind >= TK_TR_SENDING_ORDER && r.Kind <= TK_TR_ACTION_NOT_SENT) known.insert(r.ClientID);
    }
    while (const RingCommand* c = ring->next()) {
        const Way& way = c->Kind == TK_RING_ACTION ? kActions : kOrders;
        alignas(8) char canonical[kMaxPayload] = {};
        std::memcpy(canonical, c->Payload, c->Size <= kMaxPayload ? c->Size : 0);
        bool kept = true;
        if (known.count(c->ClientID) == 0)
            refuse(way, canonical, c->ClientID, fail(TK_E_STATE, "the %s was not sent: no trader process took it in time", way.noun), &kept);
        if (!kept) return fail(TK_E_FULL, "the trade journal '%s' has no room", journal_->path().c_str());
        ring->done();
    }
    return TK_OK;
}

void TdApi::serve(std::int32_t wait_mode) {
    prctl(PR_SET_NAME, "tk-sender");
    while (!stopping_.load()) {
        const RingCommand* c = ring_->next();
        if (c == nullptr) {
            ring_->wait(wait_mode, kSlice);
        } else if (serve_one(*c)) {
            ring_->done();
        } else {
            rest(10000000);  // no room in the journal to say so: it stays in the ring until there is some
        }
    }
}

// False: neither sent nor in the journal.
bool TdApi::serve_one(const RingCommand& command) {
    const Way& way = command.Kind == TK_RING_ACTION ? kActions : kOrders;
    std::int32_t rc = 0;
    bool kept = false;
    if (command.Kind != TK_RING_INSERT && command.Kind != TK_RING_ACTION) {
        fail(TK_E_ARG, "command kind %u is not known", command.Kind);
    } else if (command.Size != struct_table(way.type).size) {
        fail(TK_E_ARG, "a command of %u bytes holds no %s", command.Size, struct_table(way.type).name);
    } else {
        return send(way, command.Payload, command.ClientID, nullptr, &rc, &kept) == TK_OK || kept;
    }
    alignas(8) char canonical[kMaxPayload] = {};
    refuse(way, canonical, command.ClientID, TK_E_ARG, &kept);
    return kept;
}

}  // namespace tk::td
