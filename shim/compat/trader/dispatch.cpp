#include "dispatch.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "interface.hpp"

namespace compat::trader {

namespace {

constexpr int kQueryOpen = -2;     // the vendor's codes
constexpr int kQueryTooSoon = -3;
constexpr char kNames[][12] = {"", "DialogRsp", "Private", "Public", "QueryRsp"};  // by series

bool find(const Message& m, std::uint16_t id, Field* out) {
    for (FieldReader fields(m); fields.next(out);) {
        if (out->id == id) return true;
    }
    return false;
}

}  // namespace

Dispatcher::Dispatcher(Version version, const std::string& flow_prefix, const Faults& faults)
    : flow_prefix_(flow_prefix),
      faults_(faults),
      info_layout_(kRspInfo, kInfoField, version),
      front_connected_(slot_of(kCallbacks, version, "OnFrontConnected")),
      front_disconnected_(slot_of(kCallbacks, version, "OnFrontDisconnected")),
      heartbeat_warning_(slot_of(kCallbacks, version, "OnHeartBeatWarning")),
      rsp_error_(slot_of(kCallbacks, version, "OnRspError")),
      private_seq_no_(slot_of(kCallbacks, version, "OnRtnPrivateSeqNo")) {
    for (const Answer& a : kAnswers) ways_.push_back({Layout(a.type, a.field, version), slot_of(kCallbacks, version, a.callback)});
    dialog_file_.open(flow_prefix + kNames[kDialog] + ".con");
    query_file_.open(flow_prefix + kNames[kQuery] + ".con");
    day_file_.open(flow_prefix + "TradingDay.con");
    day_number_ = day_file_.day();
    char day[9];
    day_of_number(day_number_, day);
    day_.set(day);
}

void Dispatcher::subscribe(std::uint16_t series, Resume mode) {
    std::lock_guard<std::mutex> lock(mutex_);
    Flow& flow = flows_[series];
    flow.subscribed = true;
    flow.mode = mode;
    try {
        flow.file.open(flow_prefix_ + kNames[series] + ".con");
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: what is taken of this flow is not remembered\n", e.what());
    }
    last_[series] = flow.file.day() == day_number_ ? flow.file.count() : 0;
}

std::vector<Dispatcher::Wanted> Dispatcher::wanted() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Wanted> all;
    for (const std::uint16_t series : {kDialog, kPrivate, kPublic, kQuery}) {
        const Flow& flow = flows_[series];
        const bool is_flow = series == kPrivate || series == kPublic;
        if (is_flow && !flow.subscribed) continue;
        const std::uint32_t number = !is_flow || flow.mode == kRestart ? 0 : flow.mode == kResume ? last_[series] : ~0u;
        all.push_back({series, number});
    }
    return all;
}

bool Dispatcher::open_query(int* code) {
    const long now = static_cast<long>(std::time(nullptr));
    std::lock_guard<std::mutex> lock(mutex_);
    *code = query_open_ ? kQueryOpen : query_second_ == now ? kQueryTooSoon : 0;
    if (*code != 0) return false;
    query_open_ = true;
    query_second_ = now;
    return true;
}

void Dispatcher::forget_query() {
    std::lock_guard<std::mutex> lock(mutex_);
    query_open_ = false;
    query_second_ = -1;
}

// ---- the callbacks ------------------------------------------------------------------------------

// As the host's compiler calls a virtual function: the object first, the function from its vtable.
template <typename... Parameters, typename... Arguments>
bool Dispatcher::call(int slot, Arguments... arguments) {
    void* const s = spi();
    if (s == nullptr) return false;
    if (slot < 0) return true;
    void* const function = (*static_cast<void***>(s))[slot];
    reinterpret_cast<void (*)(void*, Parameters...)>(function)(s, arguments...);
    return true;
}

void Dispatcher::begin(const std::function<void()>&) {
    if (faults_.disconnect_first) disconnected(0x1001);  // as after a cut, which some versions report before any connect
}

void Dispatcher::connected() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        last_[kDialog] = last_[kQuery] = 0;
    }
    deaf_ = false;
    call<>(front_connected_);
}

void Dispatcher::disconnected(int reason) {
    forget_query();
    if (faults_.print) {
        std::printf("Disconnected[%p][%7d]\n", static_cast<void*>(this), reason);
        std::fflush(stdout);
        std::fprintf(stderr, "compat: disconnected, reason %d\n", reason);
    }
    call<int>(front_disconnected_, reason);
}

void Dispatcher::silence_warning(int lapse_s) { call<int>(heartbeat_warning_, lapse_s); }

void Dispatcher::message(const Message& m) {
    if (!in_sequence(m)) {
        // The vendor's library keeps the connection but ignores the rest of it without a word, and so do we.
        deaf_ = true;
        return;
    }
    if (m.series == kQuery && m.chain == 'L') {
        std::lock_guard<std::mutex> lock(mutex_);
        query_open_ = false;
    }
    const bool heard = dispatch(m);
    if (!counted(m.series)) return;
    if (heard) {
        // After the callbacks: who ends in one of them is given the message again.
        taken(m.series, m.seq);
    } else {
        deaf_ = true;  // nothing behind it may count either: the next login asks for it again
    }
}

bool Dispatcher::dispatch(const Message& m) {
    switch (m.tid) {
        case kLoginAnswer: return login_answer(m);
        case kErrorAnswer: return error_answer(m);
        case kFlowNotice: return flow_notice(m);
        default: break;
    }
    for (std::size_t i = 0; i < kAnswerCount; ++i) {
        if (kAnswers[i].tid == m.tid) return deliver(kAnswers[i], ways_[i], m);
    }
    return true;
}

void Dispatcher::poison(char* data, std::size_t size) const {
    if (faults_.poison) std::memset(data, kPoison, size);
}

// One callback per data field; an answer with none has one callback with a null pointer. The first RspInfo counts
// for all, wherever it stands.
bool Dispatcher::deliver(const Answer& answer, const Way& way, const Message& m) {
    const bool login = answer.tid == kLoginAnswer;
    const bool without_info = faults_.null_info || (login && faults_.null_login);
    const bool without_data = faults_.null_data || (login && faults_.null_login);
    Field info_field;
    const bool has_info = find(m, kInfoField, &info_field) && !without_info;
    std::size_t left = 0;
    Field field;
    for (FieldReader fields(m); fields.next(&field);) left += field.id == answer.field;
    const bool empty = left == 0 && answer.shape == Shape::kAnswer;
    FieldReader fields(m);
    while (empty || fields.next(&field)) {
        if (!empty && field.id != answer.field) continue;
        if (!empty) --left;
        // With nothing in it a packet is always the last one, whatever its chain says.
        const bool last = empty || (m.chain == 'L' && left == 0);
        if (has_info) info_layout_.to_host(info_field, info_);
        if (!empty) way.layout.to_host(field, data_);
        void* const data = empty || without_data ? nullptr : data_;
        void* const info = has_info ? info_ : nullptr;
        bool heard = false;
        switch (answer.shape) {
            case Shape::kAnswer: heard = call<void*, void*, int, bool>(way.slot, data, info, static_cast<int>(m.rid), last); break;
            case Shape::kReturn: heard = call<void*>(way.slot, data); break;
            case Shape::kErrorReturn: heard = call<void*, void*>(way.slot, data, info); break;
        }
        poison(data_, way.layout.size());
        poison(info_, info_layout_.size());
        if (!heard) return false;
        if (empty) break;
    }
    return true;
}

bool Dispatcher::login_answer(const Message& m) {
    const Answer& answer = kAnswers[kLoginAnswerIndex];
    const Way& way = ways_[kLoginAnswerIndex];
    // In a counted series it is an answer like any other: the day is not taken, parts may be missing.
    if (counted(m.series)) return deliver(answer, way, m);
    Field info, field;
    if (!find(m, kInfoField, &info) || !find(m, answer.field, &field)) return true;
    info_layout_.to_host(info, info_);
    std::int32_t error_id;
    std::memcpy(&error_id, info_ + info_layout_.host("ErrorID").offset, sizeof error_id);
    if (error_id == 0) {
        way.layout.to_host(field, data_);
        char day[9];
        std::memcpy(day, data_ + way.layout.host("TradingDay").offset, sizeof day);
        new_day(day);  // before the callback, which may ask for it
    }
    return deliver(answer, way, m);
}

bool Dispatcher::error_answer(const Message& m) {
    Field field;
    const bool has_info = find(m, kInfoField, &field) && !faults_.null_info;
    if (has_info) info_layout_.to_host(field, info_);
    // Always the last one, whatever the chain says.
    const bool heard = call<void*, int, bool>(rsp_error_, has_info ? info_ : nullptr, static_cast<int>(m.rid), true);
    poison(info_, info_layout_.size());
    return heard;
}

// "My next message of this flow is number + 1."
bool Dispatcher::flow_notice(const Message& m) {
    Field field;
    for (FieldReader fields(m); fields.next(&field);) {
        if (field.id != kDissemination || field.size < 6) continue;
        const std::uint16_t series = read_u16(field.data);
        const std::uint32_t number = read_u32(field.data + 2);
        if (!counted(series)) continue;
        taken(series, number);
        if (series == kPrivate) call<int>(private_seq_no_, static_cast<int>(number));
    }
    return true;
}

// ---- the numbers --------------------------------------------------------------------------------

// A flow that was not subscribed is not checked; what comes of it is delivered.
bool Dispatcher::counted(std::uint16_t series) const {
    return series == kDialog || series == kQuery || ((series == kPrivate || series == kPublic) && flows_[series].subscribed);
}

// Only this thread writes these numbers while it runs.
bool Dispatcher::in_sequence(const Message& m) const { return !counted(m.series) || m.seq == last_[m.series] + 1; }

void Dispatcher::taken(std::uint16_t series, std::uint32_t number) {
    std::lock_guard<std::mutex> lock(mutex_);
    last_[series] = number;
    if (series == kPrivate || series == kPublic) flows_[series].file.store(day_number_, number);
}

void Dispatcher::new_day(const char (&day)[9]) {
    day_.set(day);
    const std::uint16_t number = number_of_day(day);
    std::lock_guard<std::mutex> lock(mutex_);
    if (number == day_number_) return;
    day_number_ = number;
    day_file_.store(number, 0);
    for (const std::uint16_t series : {kPrivate, kPublic}) {
        last_[series] = 0;
        if (flows_[series].subscribed) flows_[series].file.store(number, 0);
    }
}

}  // namespace compat::trader
