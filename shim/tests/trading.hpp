// What the trading tests share: a journal in a directory of its own, and a vendor library that only remembers.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "crc32.hpp"
#include "fixture.hpp"
#include "td_api.hpp"
#include "trade_log.hpp"

namespace fixture {

inline std::int32_t ok(std::int32_t rc, const char* what) {
    TestLog::ok(rc, what);
    return rc;
}

inline tk::TradeEntry note(std::int64_t value, const char* text = "") {
    tk::TradeEntry e;
    e.kind = TK_TR_NOTE;
    e.value = value;
    e.text = text;
    e.text_length = std::strlen(text);
    return e;
}

// A record whose payload follows from its number, so that one put together from two of them shows.
struct Numbered {
    explicit Numbered(std::int64_t n) : entry(note(n)) {
        for (std::size_t i = 0; i < sizeof payload; ++i) payload[i] = static_cast<char>(n * 31 + static_cast<std::int64_t>(i));
        entry.kind = TK_TR_RTN_ORDER;
        entry.type = tk::td::kOrder;
        entry.has_data = true;
        entry.payload = payload;
        entry.size = sizeof payload;
    }
    char payload[800];
    tk::TradeEntry entry;
};

struct Journal {
    explicit Journal(std::uint64_t capacity = 64) : path(directory.file("journal")) { open(capacity); }
    void open(std::uint64_t capacity = 64) {
        writer = std::make_unique<tk::TradeWriter>();
        ok(writer->open(path.c_str(), capacity), "TradeWriter::open");
    }
    void add(std::int64_t n) { ok(writer->append(Numbered(n).entry), "append"); }
    // As if the writing process had died.
    void forget_writer() {
        tk::TradeReader reader;
        ok(reader.attach(path.c_str()), "attach");
        const_cast<tk::TradeHeader&>(reader.header()).WriterProcess.store(0);
        writer.reset();
    }
    std::vector<tk::TradeRecord> read() const { return read_journal(path); }
    static std::vector<tk::TradeRecord> read_journal(const std::string& path) {
        tk::TradeReader reader;
        ok(reader.attach(path.c_str()), "attach");
        std::vector<tk::TradeRecord> records(reader.head());
        std::uint64_t copied = 0;
        ok(reader.read(0, records.size(), records.data(), &copied), "read");
        CHECK_EQ(copied, records.size());
        for (std::uint64_t s = 0; s < copied; ++s) {
            const tk::TradeRecord& r = records[s];
            CHECK(tk::whole(r, s));
            // Nothing of an earlier attempt at the same place.
            CHECK(std::all_of(r.Payload + r.Size, r.Payload + sizeof r.Payload, [](char c) { return c == 0; }));
        }
        return records;
    }
    std::vector<int> kinds() const {
        std::vector<int> found;
        for (const tk::TradeRecord& r : read()) found.push_back(r.Kind);
        return found;
    }
    // A copy of the file as it is now, nobody's.
    std::string twin() const {
        const std::string other = directory.file("twin");
        std::filesystem::copy_file(path, other, std::filesystem::copy_options::overwrite_existing);
        const std::uint64_t nobody = 0;
        const tk::Descriptor fd(::open(other.c_str(), O_WRONLY));
        CHECK_EQ(pwrite(fd.get(), &nobody, 8, offsetof(tk::TradeHeader, WriterProcess)), 8);
        return other;
    }

    check::Directory directory;
    std::string path;
    std::unique_ptr<tk::TradeWriter> writer;
};

// ---- a vendor library that only remembers -------------------------------------------------------

struct Call {
    int slot;
    std::intptr_t first, second;
    std::vector<char> data;  // what a request points at
};

struct FakeVendor {
    void* const* vtable;
    void* const* spi = nullptr;  // the callback object's slots
    void* spi_object = nullptr;
    std::vector<Call> calls;
    std::intptr_t answer = 0;
    std::size_t data_size = 0;  // bytes of a request to be kept
    int register_spi = -1, trading_day = -1;
    std::function<void(int)> during;  // inside each call

    static FakeVendor*& current() {
        static FakeVendor* one = nullptr;
        return one;
    }
    template <int slot>
    static std::intptr_t call(FakeVendor* self, std::intptr_t first, std::intptr_t second) {
        return self->called(slot, first, second);
    }
    template <int... slots>
    static void* const* functions(std::integer_sequence<int, slots...>) {
        static void* const all[] = {reinterpret_cast<void*>(&call<slots>)...};
        return all;
    }
    std::intptr_t called(int slot, std::intptr_t first, std::intptr_t second) {
        Call c{slot, first, second, {}};
        if (data_size != 0) {
            const auto* data = reinterpret_cast<const char*>(first);
            c.data.assign(data, data + data_size);
        }
        calls.push_back(c);
        if (slot == register_spi) {
            spi_object = reinterpret_cast<void*>(first);
            spi = first == 0 ? nullptr : *reinterpret_cast<void* const* const*>(first);
        }
        if (during) during(slot);
        if (slot == trading_day) return reinterpret_cast<std::intptr_t>("20260105");
        return answer;
    }
    static void* make(const char*, bool) {
        current()->vtable = functions(std::make_integer_sequence<int, 160>());
        return current();
    }

    explicit FakeVendor(const tk::td::TdVersion& version) {
        current() = this;
        register_spi = tk::td::api_slot(version, tk::td::api::kRegisterSpi);
        trading_day = tk::td::api_slot(version, tk::td::api::kGetTradingDay);
    }
    FakeVendor(const FakeVendor&) = delete;
    FakeVendor& operator=(const FakeVendor&) = delete;
};

// An api of a version on a remembering vendor and a journal, initialised.
struct Trader {
    explicit Trader(const tk::td::TdVersion& v, std::uint64_t capacity = 4096, bool returns = true) : version(v), journal(capacity), vendor(v) {
        tk::td::TdLibrary library;
        library.tables = &v;
        library.factory = reinterpret_cast<void*>(&FakeVendor::make);
        api = std::make_unique<tk::td::TdApi>(library, journal.writer.get());
        ok(api->create((journal.directory.path() + "/").c_str(), true), "create");
        if (!returns) ok(api->leave_out_returns(), "leave_out_returns");
        ok(api->init(), "init");
        vendor.calls.clear();
    }
    ~Trader() {
        vendor.data_size = 0;  // what else is called takes no struct
        vendor.during = nullptr;
        api.reset();
    }
    // A callback as the vendor makes it; nothing happens in a version without it.
    template <typename... Arguments>
    void callback(tk::td::spi::Slot which, Arguments... arguments) {
        const int slot = tk::td::spi::kGenerations[version.spi].slot[which];
        REQUIRE(slot >= 0);
        reinterpret_cast<void (*)(void*, Arguments...)>(vendor.spi[slot])(vendor.spi_object, arguments...);
    }
    void log_in(std::int32_t front = 1, std::int32_t session = -5) {
        std::vector<char> answer(tk::td::vendor_size(version, tk::td::kRspUserLogin));
        std::memcpy(answer.data() + 88, &front, 4);  // the same in all versions: see td_rows.inc
        std::memcpy(answer.data() + 92, &session, 4);
        callback(tk::td::spi::kOnRspUserLogin, static_cast<const char*>(answer.data()), static_cast<const char*>(nullptr), 2, true);
    }
    void ready(std::int64_t next_ref = 1) {
        log_in();
        ok(api->gate(1, -5, next_ref, true), "gate");
    }
    int slot(tk::td::api::Slot s) const { return tk::td::api_slot(version, s); }

    const tk::td::TdVersion& version;
    Journal journal;
    FakeVendor vendor;
    std::unique_ptr<tk::td::TdApi> api;
};

inline const tk::td::TdVersion& version_called(const char* name) {
    for (const tk::td::TdVersion& v : tk::td::kVersions)
        if (std::strcmp(v.version, name) == 0) return v;
    throw check::Abandon{};
}

}  // namespace fixture
