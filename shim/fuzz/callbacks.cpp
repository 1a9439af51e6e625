// The vendor's other structs, of every version's layout: their texts become events and callbacks for the session.
#include <memory>
#include <string>

#include "input.hpp"
#include "md_api.hpp"
#include "places.hpp"
#include "world.hpp"

namespace {

using fuzz::Input;

template <typename F>
F* function(int callback) {
    return reinterpret_cast<F*>(tk::spi_functions()[callback]);
}

// A struct as the vendor gives it: of its size, or none at all.
std::unique_ptr<fuzz::Exact> data_of(Input* in, std::size_t size) {
    const std::uint8_t how = in->byte();
    if (how == 0 || size == 0) return nullptr;
    auto made = std::make_unique<fuzz::Exact>(size);
    std::memset(made->get(), how, size);  // texts without an end, unless the next changes make one
    for (std::uint32_t n = in->byte() % 8; n != 0; --n) {
        const std::size_t at = in->number<std::uint16_t>() % size, fits = size - at, wanted = 1 + in->byte() % 16;
        in->take(made->get() + at, wanted < fits ? wanted : fits);
    }
    return made;
}

const char* bytes(const std::unique_ptr<fuzz::Exact>& data) { return data ? data->get() : nullptr; }

std::size_t size_of(int callback, const tk::VersionLayouts& v) {
    switch (callback) {
        case TK_CB_USER_LOGIN: return v.login_answer->size;
        case TK_CB_USER_LOGOUT: return tk::kUserLogoutSize;
        case TK_CB_QRY_MULTICAST: return v.multicast == nullptr ? 0 : v.multicast->size;
        case TK_CB_FOR_QUOTE: return v.for_quote->size;
        case tk::kCallbackTick: return v.depth->size;
        default: return v.instrument->size;
    }
}

void call(Input* in, int callback, tk::Spi* spi, const tk::VersionLayouts& v) {
    using Answer = void(tk::Spi*, const char*, const char*, int, bool);
    const std::int32_t number = in->number<std::int8_t>();
    const bool last = (number & 1) != 0;
    switch (callback) {
        case TK_CB_FRONT_CONNECTED: return function<void(tk::Spi*)>(callback)(spi);
        case TK_CB_FRONT_DISCONNECTED:
        case TK_CB_HEARTBEAT_WARNING: return function<void(tk::Spi*, int)>(callback)(spi, number);
        case TK_CB_ERROR: {
            const auto info = data_of(in, tk::kRspInfoSize);
            return function<void(tk::Spi*, const char*, int, bool)>(callback)(spi, bytes(info), number, last);
        }
        case tk::kCallbackTick:
        case TK_CB_FOR_QUOTE: {
            const auto data = data_of(in, size_of(callback, v));
            return function<void(tk::Spi*, const char*)>(callback)(spi, bytes(data));
        }
        default: {
            const auto data = data_of(in, size_of(callback, v)), info = data_of(in, tk::kRspInfoSize);
            return function<Answer>(callback)(spi, bytes(data), bytes(info), number, last);
        }
    }
}

template <std::size_t N>
bool ends(const char (&text)[N]) {
    return std::memchr(text, 0, N) != nullptr;
}

void check(const tk_callback& c) {
    PROMISE(ends(c.error_msg) && ends(c.instrument_id) && ends(c.trading_day) && ends(c.action_day) &&
            ends(c.login_time) && ends(c.broker_id) && ends(c.user_id) && ends(c.system_name) &&
            ends(c.max_order_ref) && ends(c.shfe_time) && ends(c.dce_time) && ends(c.czce_time) &&
            ends(c.ffex_time) && ends(c.ine_time) && ends(c.gfex_time) && ends(c.sys_version) &&
            ends(c.for_quote_sys_id) && ends(c.for_quote_time) && ends(c.exchange_id));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const fuzz::World world;
    const std::string path = fuzz::directory() + "/log";
    const tk::Table table = tk::version_table();
    const tk::VersionLayouts& version = table.rows[in.byte() % table.count];
    tk::Log log;
    PROMISE(tk::create_log(path.c_str(), "fuzz", 8, 2, &log) == TK_OK);
    tk::Writer writer(&log);
    PROMISE(writer.open(true) == TK_OK);
    tk::VendorLibrary library;
    library.tables.generation = version.generation;
    library.tables.layouts = &version;
    {
        tk::MdApi api(library, &writer);
        tk::Spi spi{nullptr, &api, &writer, version.depth};
        for (int n = 0; n < 64 && !in.empty(); ++n) {
            call(&in, in.byte() % tk::kCallbackCount, &spi, version);
            tk_callback callback;
            while (api.next(0, &callback)) check(callback);
            tk::Record record;
            std::uint64_t first;
            const std::uint64_t head = log.header->Head.load();
            if (head == 0 || tk::read_range(log, head - 1, 1, &record, &first) != 1 || record.Kind != tk::kEvent) continue;
            const auto& event = reinterpret_cast<const tk::EventRecord&>(record);
            PROMISE(event.TextLength < sizeof event.Text && event.Text[event.TextLength] == '\0');
        }
    }
    writer.close();
    tk::unlink_log(log);
    return 0;
}
