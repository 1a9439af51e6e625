// The trading structs of every version's layout, as the vendor's callbacks give them: into canonical records, the
// journal and the session's queue, and back out of both.
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "input.hpp"
#include "td_api.hpp"
#include "world.hpp"

namespace {

using fuzz::Input;
using namespace tk::td;

enum class Shape { kNothing, kNumber, kError, kReturn, kErrorReturn, kAnswer };

struct Callback {
    spi::Slot slot;
    Shape shape;
    Struct type;
};

constexpr Callback kCallbacks[] = {
    {spi::kOnFrontConnected, Shape::kNothing, kNoStruct},
    {spi::kOnFrontDisconnected, Shape::kNumber, kNoStruct},
    {spi::kOnHeartBeatWarning, Shape::kNumber, kNoStruct},
    {spi::kOnRspAuthenticate, Shape::kAnswer, kRspAuthenticate},
    {spi::kOnRspUserLogin, Shape::kAnswer, kRspUserLogin},
    {spi::kOnRspUserLogout, Shape::kAnswer, kUserLogout},
    {spi::kOnRspSettlementInfoConfirm, Shape::kAnswer, kSettlementInfoConfirm},
    {spi::kOnRspError, Shape::kError, kNoStruct},
    {spi::kOnRspOrderInsert, Shape::kAnswer, kInputOrder},
    {spi::kOnErrRtnOrderInsert, Shape::kErrorReturn, kInputOrder},
    {spi::kOnRtnOrder, Shape::kReturn, kOrder},
    {spi::kOnRtnTrade, Shape::kReturn, kTrade},
    {spi::kOnRspOrderAction, Shape::kAnswer, kInputOrderAction},
    {spi::kOnErrRtnOrderAction, Shape::kErrorReturn, kOrderAction},
    {spi::kOnRtnInstrumentStatus, Shape::kReturn, kInstrumentStatus},
    {spi::kOnRtnPrivateSeqNo, Shape::kNumber, kNoStruct},
    {spi::kOnRspQryOrder, Shape::kAnswer, kOrder},
    {spi::kOnRspQryTrade, Shape::kAnswer, kTrade},
    {spi::kOnRspQryInvestorPosition, Shape::kAnswer, kInvestorPosition},
    {spi::kOnRspQryTradingAccount, Shape::kAnswer, kTradingAccount},
    {spi::kOnRspQryInstrument, Shape::kAnswer, kInstrument},
    {spi::kOnRspQryDepthMarketData, Shape::kAnswer, kDepthMarketData},
};
static_assert(sizeof kCallbacks / sizeof kCallbacks[0] == spi::kSlotCount, "all of them");

// A struct as the vendor gives it: of its size, or none at all.
std::unique_ptr<fuzz::Exact> data_of(Input* in, std::size_t size) {
    const std::uint8_t how = in->byte();
    if (how == 0) return nullptr;
    auto made = std::make_unique<fuzz::Exact>(size);
    std::memset(made->get(), how, size);  // texts without an end, unless the next changes make one
    for (std::uint32_t n = in->byte() % 8; n != 0; --n) {
        const std::size_t at = in->number<std::uint16_t>() % size, fits = size - at, wanted = 1 + in->byte() % 16;
        in->take(made->get() + at, wanted < fits ? wanted : fits);
    }
    return made;
}

const char* bytes(const std::unique_ptr<fuzz::Exact>& data) { return data ? data->get() : nullptr; }

void call(Input* in, const Callback& c, Spi* spi, const TdVersion& version) {
    void* const function = spi_functions()[c.slot];
    const std::int32_t number = in->number<std::int8_t>();
    const bool last = (number & 1) != 0;
    std::unique_ptr<fuzz::Exact> data, info;
    if (c.type != kNoStruct) data = data_of(in, vendor_size(version, c.type));
    if (c.shape == Shape::kError || c.shape == Shape::kErrorReturn || c.shape == Shape::kAnswer) info = data_of(in, vendor_size(version, kRspInfo));
    switch (c.shape) {
        case Shape::kNothing: return reinterpret_cast<void (*)(Spi*)>(function)(spi);
        case Shape::kNumber: return reinterpret_cast<void (*)(Spi*, int)>(function)(spi, number);
        case Shape::kError: return reinterpret_cast<void (*)(Spi*, const char*, int, bool)>(function)(spi, bytes(info), number, last);
        case Shape::kReturn: return reinterpret_cast<void (*)(Spi*, const char*)>(function)(spi, bytes(data));
        case Shape::kErrorReturn: return reinterpret_cast<void (*)(Spi*, const char*, const char*)>(function)(spi, bytes(data), bytes(info));
        case Shape::kAnswer:
            return reinterpret_cast<void (*)(Spi*, const char*, const char*, int, bool)>(function)(spi, bytes(data), bytes(info), number, last);
    }
}

void check(const tk::TradeRecord& r, const TdVersion& version) {
    PROMISE(r.Struct < kStructEnd && (r.HasData == 0 || r.Struct != kNoStruct));
    PROMISE(r.Size == (r.HasData != 0 ? struct_table(static_cast<Struct>(r.Struct)).size : 0));
    if (r.HasData == 0) return;
    const Struct type = static_cast<Struct>(r.Struct);
    for (const StructField& f : struct_table(type).fields) PROMISE(f.offset + f.size <= r.Size);
    const fuzz::Exact again(vendor_size(version, type));
    to_vendor(version, type, r.Payload, again.get());  // an order that is cancelled is made of its return's texts
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, size);
    const fuzz::World world;
    const std::string path = fuzz::directory() + "/journal";
    const TdVersion& version = kVersions[in.byte() % (sizeof kVersions / sizeof kVersions[0])];
    tk::TradeWriter writer;
    PROMISE(writer.open(path.c_str(), 128) == TK_OK);
    std::vector<tk::TradeRecord> queued;
    {
        TdLibrary library;
        library.tables = &version;
        TdApi api(library, &writer);
        Spi spi{nullptr, &api};
        for (int n = 0; n < 64 && !in.empty(); ++n) {
            const Callback& c = kCallbacks[in.byte() % spi::kSlotCount];
            if (spi::kGenerations[version.spi].slot[c.slot] < 0) continue;  // nobody calls it
            call(&in, c, &spi, version);
            tk::TradeRecord record;
            PROMISE(api.next(0, &record));
            check(record, version);
            if (record.Stamp != 0) queued.push_back(record);
        }
    }
    tk::TradeReader reader;
    PROMISE(reader.attach(path.c_str()) == TK_OK && reader.head() == queued.size() + 1);
    std::vector<tk::TradeRecord> kept(queued.size() + 1);
    std::uint64_t copied = 0;
    PROMISE(reader.read(0, kept.size(), kept.data(), &copied) == TK_OK && copied == kept.size());
    for (std::size_t n = 0; n < queued.size(); ++n) {
        kept[n + 1].Crc = queued[n].Crc;
        PROMISE(std::memcmp(&kept[n + 1], &queued[n], sizeof queued[n]) == 0);
    }
    writer.close();
    unlink(path.c_str());
    return 0;
}
