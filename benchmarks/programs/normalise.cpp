// What does it cost to know what a tick means? The normaliser's parts on a ring in private memory, each
// against a plain copy of a record's 448 bytes to the same place.
//
//   normalise CASE INSTRUMENTS ROUNDS TICKS
//
// copy: memcpy of 448 bytes. record: the fields brought to their places, DBL_MAX to NaN, texts cut.
// judge: exchange time and flags alone. whole: judge and record, as the writer does it.
// Ticks come as a market's do: INSTRUMENTS of four exchanges in turn, two a second each, the trading day
// walked through. Prints one line per round: nanoseconds per tick.
#include <memory>

#include "normalise.hpp"
#include "writing.hpp"

namespace {

constexpr std::size_t kRing = 4096;  // records: as much of a log as the second-level cache has of it

tk_product_rule rule(const char* product, const char* exchange) {
    tk_product_rule r{};
    std::strcpy(r.product_id, product);
    std::strcpy(r.exchange_id, exchange);
    const int sessions[][2] = {{32400, 36900}, {37800, 41400}, {48600, 54000}, {75600, 82800}};
    for (const auto& s : sessions) {
        r.session_start[r.session_count] = s[0];
        r.session_end[r.session_count++] = s[1];
    }
    r.auction_count = 1;
    r.auction_start[0] = 75300;
    r.auction_end[0] = 75600;
    return r;
}

struct Instrument {
    alignas(8) char depth[1024] = {};
    char ids[tk::kTextWords * 8];
    tk::TickState state;
};

struct Market {
    std::vector<Instrument> instruments;
    std::vector<tk::Record> ring;
    tk::Judge judge;
    const tk::DepthLayout* layout = tk::depth_layout(3);
    std::uint64_t number = 0;
    std::uint64_t flagged = 0;

    explicit Market(std::size_t count) : instruments(count), ring(kRing) {
        const char* products[][2] = {{"rb", "SHFE"}, {"m", "DCE"}, {"SR", "CZCE"}, {"IF", "CFFEX"}};
        std::vector<tk_product_rule> rules;
        for (const auto& p : products) rules.push_back(rule(p[0], p[1]));
        auto known = std::make_unique<tk::Rules>();
        known->set(rules.data(), 4, nullptr, 0, 20240101, 20261231);
        judge.exchange_rules(known);
        for (std::size_t i = 0; i < count; ++i) {
            Instrument& in = instruments[i];
            tk::InstrumentEntry entry{};
            std::snprintf(entry.InstrumentID, sizeof entry.InstrumentID, "%s%zu", products[i % 4][0], 2400 + i / 4);
            tk::make_ids(in.ids, entry);
            std::memcpy(in.depth + tk::depth::kTradingDay, "20260106", 9);
            std::memcpy(in.depth + tk::depth::kActionDay, "20260106", 9);
            for (std::uint32_t at = 80; at < 384; at += 8) {
                const double price = 3000.0 + at;
                std::memcpy(in.depth + at, &price, 8);
            }
        }
    }

    // The next tick of the market: its own time, more volume, a moved price. Common to all cases.
    Instrument& next() {
        Instrument& in = instruments[number % instruments.size()];
        const std::uint64_t half_seconds = number / instruments.size();
        const auto second = static_cast<std::int32_t>(32400 + half_seconds / 2 % 4500);
        const auto digit = [](int n) { return static_cast<char>('0' + n); };
        const int h = second / 3600, m = second / 60 % 60, s = second % 60;
        const char text[9] = {digit(h / 10), digit(h % 10), ':', digit(m / 10), digit(m % 10), ':', digit(s / 10), digit(s % 10), 0};
        std::memcpy(in.depth + tk::depth::kUpdateTime, text, 9);
        const std::int32_t ms = half_seconds % 2 != 0 ? 500 : 0, volume = static_cast<std::int32_t>(half_seconds);
        std::memcpy(in.depth + tk::depth::kUpdateMillisec, &ms, 4);
        std::memcpy(in.depth + tk::depth::kVolume, &volume, 4);
        const double turnover = volume * 3000.0;
        std::memcpy(in.depth + tk::depth::kTurnover, &turnover, 8);
        return in;
    }

    void copy(Instrument& in) { std::memcpy(static_cast<void*>(&ring[number % kRing]), in.depth, sizeof(tk::Record)); }

    tk::Verdict look(Instrument& in, const tk::TickTexts& texts) {
        // 2026-01-06 09:00 in China, and what has passed since; a tick arrives 3 ms after its stamp.
        const std::int64_t recv = 1767661200003000000 + static_cast<std::int64_t>(number / instruments.size() % 9000) * 500000000;
        return judge.look(in.state, texts, tk::facts_of(in.depth, recv, static_cast<std::uint32_t>(number % instruments.size()), in.ids));
    }

    void store(Instrument& in, const tk::TickTexts& texts, std::int64_t time, std::uint32_t flags) {
        const tk::TickHead head{1, 2, time, number, number, static_cast<std::uint32_t>(number % instruments.size()), flags};
        tk::store_tick(&ring[number % kRing], *layout, in.depth, head, in.ids, texts);
    }
};

__attribute__((noinline)) void run(Market& b, char what, std::uint64_t ticks) {
    for (std::uint64_t i = 0; i < ticks; ++i, ++b.number) {
        Instrument& in = b.next();
        if (what == 'c') b.copy(in);
        if (what == 'n') continue;
        if (what == 'r') b.store(in, tk::texts_of(in.depth), 0, 0);
        if (what == 'j') b.flagged += b.look(in, tk::texts_of(in.depth)).flags != 0;
        if (what == 'w') {
            const tk::TickTexts texts = tk::texts_of(in.depth);
            const tk::Verdict v = b.look(in, texts);
            b.flagged += v.flags != 0;
            b.store(in, texts, v.time, v.flags);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::die_with_parent();
    if (argc != 5 || std::strchr("ncrjw", argv[1][0]) == nullptr) {
        std::fprintf(stderr, "usage: normalise none|copy|record|judge|whole INSTRUMENTS ROUNDS TICKS\n");
        return 2;
    }
    const char what = argv[1][0];
    const auto ticks = static_cast<std::uint64_t>(std::atoll(argv[4]));
    Market market(static_cast<std::size_t>(std::atoi(argv[2])));
    if (std::atoi(argv[3]) > 1) run(market, what, ticks / 4);  // one round is for counting instructions
    const std::uint64_t warm = market.flagged;
    for (int round = 0; round < std::atoi(argv[3]); ++round) {
        const std::int64_t start = tk::monotonic_ns();
        run(market, what, ticks);
        std::printf("%.3f\n", static_cast<double>(tk::monotonic_ns() - start) / static_cast<double>(ticks));
    }
    std::fprintf(stderr, "flagged %llu\n", static_cast<unsigned long long>(market.flagged - warm));
    return 0;
}
