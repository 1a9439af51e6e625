// A host of the trader library, as every version: it hears each callback with the arguments that belong to its slot,
// and reads each byte that it is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "trader/interface.hpp"
#include "trader/messages.hpp"

namespace compat::trader {

class Host {
public:
    explicit Host(Version version) : vtable_(slots_), slots_{} {
        for (const Answer& a : kAnswers) sizes_.push_back(Layout(a.type, a.field, version).size());
        for (void*& function : slots_) function = reinterpret_cast<void*>(another);
        set(version, "OnFrontConnected", plain);
        set(version, "OnFrontDisconnected", number);
        set(version, "OnHeartBeatWarning", number);
        set(version, "OnRspError", error);
        set(version, "OnRtnPrivateSeqNo", number);
        set_answers(version, std::make_index_sequence<kAnswerCount>());
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

private:
    static constexpr int kSlots = 192;

    void* const* vtable_;  // first: it is what a host's object begins with
    void* slots_[kSlots];
    std::vector<std::size_t> sizes_;

public:
    std::uint64_t calls = 0, strangers = 0, nulls = 0, sum = 0;
    int last_number = 0;

private:

    void add(const void* data, std::size_t size) {
        for (std::size_t i = 0; data != nullptr && i < size; ++i) sum = sum * 31 + static_cast<const std::uint8_t*>(data)[i];
    }
    static Host* heard(void* self) {
        Host* const host = static_cast<Host*>(self);
        ++host->calls;
        return host;
    }

    static void plain(void* self) { heard(self); }
    static void number(void* self, int n) { heard(self)->last_number = n; }
    static void error(void* self, void* info, int, bool) { heard(self)->add(info, kInfoSize); }
    // In the slots of which nothing is known; calling one is a mistake.
    static void another(void* self) { ++heard(self)->strangers; }
    template <std::size_t I>
    static void answer(void* self, void* data, void* info, int, bool) {
        Host* const host = heard(self);
        host->add(data, host->sizes_[I]);
        host->add(info, kInfoSize);
    }
    template <std::size_t I>
    static void of_flow(void* self, void* data) {
        Host* const host = heard(self);
        host->nulls += data == nullptr;
        host->add(data, host->sizes_[I]);
    }
    template <std::size_t I>
    static void of_flow_with_info(void* self, void* data, void* info) {
        of_flow<I>(self, data);
        static_cast<Host*>(self)->add(info, kInfoSize);
    }

    template <typename Function>
    void set(Version version, const char* name, Function* function) {
        const int slot = slot_of(kCallbacks, version, name);
        if (slot >= 0) slots_[slot] = reinterpret_cast<void*>(function);
    }
    template <std::size_t I>
    void set_answer(Version version) {
        const Answer& a = kAnswers[I];
        if (a.shape == Shape::kAnswer) set(version, a.callback, answer<I>);
        if (a.shape == Shape::kReturn) set(version, a.callback, of_flow<I>);
        if (a.shape == Shape::kErrorReturn) set(version, a.callback, of_flow_with_info<I>);
    }
    template <std::size_t... I>
    void set_answers(Version version, std::index_sequence<I...>) {
        (set_answer<I>(version), ...);
    }

    static constexpr std::size_t kInfoSize = 88;
};

}  // namespace compat::trader
