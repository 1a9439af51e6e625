// A copy that the writer overtakes, and a publication that a reader looks into: one side is stopped between
// two instructions, the other goes on. What a reader gives out is whole, or it is counted as lost.
#include <sys/mman.h>

#include "stepper.hpp"

using namespace fixture;

namespace {

// Memory that a child fills while this process watches.
template <typename T>
class Shared {
public:
    Shared() {
        page_ = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(page_ != MAP_FAILED);
        std::memset(page_, 0xE5, sizeof(T));  // no word of a record: each copied word is a change
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { munmap(page_, sizeof(T)); }
    T* operator->() { return static_cast<T*>(page_); }
    T& operator*() { return *static_cast<T*>(page_); }
    std::vector<std::pair<const char*, std::size_t>> bytes() { return {{static_cast<const char*>(page_), sizeof(T)}}; }

private:
    void* page_;
};

struct Block {
    tk::Record records[3];
};

// Lets `body` copy into `out` and stops it after some of the words; `meanwhile` then happens at once.
// False when there are no more words.
bool stopped_in_the_copy(int words, Shared<Block>& out, const std::function<void()>& body, const std::function<void()>& meanwhile) {
    Stepper child([] {}, body);
    for (int i = 0; i < words; ++i)
        if (!child.step_to_change(out.bytes())) return false;
    meanwhile();
    CHECK(ended_well(child.run()));
    if (check::failures() == 0) return true;
    check::failed(__FILE__, __LINE__, "stopped after " + std::to_string(words) + " words");
    return false;
}

void check_tick(const tk::Record& r, std::uint64_t after) {
    CHECK(r.Stamp > after);
    CHECK(is_whole(r));
    CHECK_EQ(r.TickNumber, r.Stamp - 1);
    CHECK_EQ(r.Volume, static_cast<std::int32_t>(r.TickNumber));
}

}  // namespace

TEST(a_reader_stopped_at_any_instruction_of_its_copy_gives_no_overtaken_record) {
    for (const std::uint64_t later : {1u, 2u, 3u, 4u, 9u}) {
        bool more = true;
        // Three records of 56 words; the steps meet every part of them over the rounds.
        for (int words = static_cast<int>(later); more; words += 11) {
            TestLog t(4);
            auto q = t.queue();
            auto& reader = q->open();
            t.ticks(3);
            Shared<Block> out;
            const auto body = [&] {
                std::uint64_t last = 0;
                for (;;) {
                    tk_take block{};
                    block.block = out->records;
                    block.max = 3;
                    CHECK(reader.take(&block) >= 0);
                    for (std::uint32_t i = 0; i < block.count; ++i) {
                        check_tick(out->records[i], last);
                        last = out->records[i].Stamp;
                    }
                    if (block.state == TK_TAKE_EMPTY) return;  // it was through before it could be stopped
                    if (block.state != TK_TAKE_OK) {
                        CHECK_EQ(block.state, TK_TAKE_ENDED);
                        CHECK_EQ(block.received + block.lost, 3 + later);
                        return;
                    }
                }
            };
            more = stopped_in_the_copy(words, out, body, [&] {
                t.ticks(later);
                tk::end_log(&t.log);
            });
            CHECK(more || words > 50);  // copied in pairs of words
            if (check::failures() != 0) return;
        }
    }
}

TEST(a_range_or_latest_tick_stopped_at_any_instruction_of_its_copy_is_whole) {
    for (const std::uint64_t later : {1u, 3u, 9u})
        for (const bool latest : {false, true}) {
            bool more = true;
            for (int words = 1; more; words += 9) {
                TestLog t(4);
                t.ticks(3, "rb2601");
                Shared<Block> out;
                const auto body = [&] {
                    if (latest) {
                        CHECK_EQ(tk::read_latest(t.log, "rb2601", out->records), TK_OK);
                        check_tick(out->records[0], 2);
                        CHECK_EQ(std::string(out->records[0].InstrumentID), "rb2601");
                        return;
                    }
                    std::uint64_t first = 0;
                    const std::uint64_t n = tk::read_range(t.log, 0, 3, out->records, &first);
                    for (std::uint64_t i = 0; i < n; ++i) {
                        check_tick(out->records[i], first + i);
                        CHECK_EQ(out->records[i].Stamp, first + i + 1);
                    }
                };
                more = stopped_in_the_copy(words, out, body, [&] { t.ticks(later, latest ? "IF2512" : "rb2601"); });
                CHECK(more || words > 50);
                if (check::failures() != 0) return;
            }
        }
}

// The saved table, too, is overwritten: by a newer tick of the same instrument that leaves the ring.
TEST(a_saved_tick_stopped_at_any_instruction_of_its_copy_is_whole) {
    bool more = true;
    for (int words = 1; more; words += 5) {
        TestLog t(4);
        t.tick("rb2601");
        t.ticks(6, "IF2512");  // rb2601's tick is only in the saved table now
        Shared<Block> out;
        const auto body = [&] {
            CHECK_EQ(tk::read_latest(t.log, "rb2601", out->records), TK_OK);
            check_tick(out->records[0], 0);
            CHECK_EQ(std::string(out->records[0].InstrumentID), "rb2601");
        };
        more = stopped_in_the_copy(words, out, body, [&] {
            t.tick("rb2601");
            t.ticks(6, "IF2512");
        });
        CHECK(more || words > 50);
        if (check::failures() != 0) return;
    }
}

// The writer stops at every instruction that changed anything; readers of all kinds look meanwhile.
TEST(what_is_seen_while_a_writer_stands_at_any_instruction_is_whole) {
    for (const char* id : {"rb2601", "IF2512", "new999"}) {
        TestLog t(4);
        t.tick("IF2512");  // 0: overwritten by the tick below, and the newest of its instrument
        t.ticks(3, "rb2601");
        auto q = t.queue({}, TK_START_OLDEST);
        auto& reader = q->open();
        std::uint64_t last = 0, received = 0;
        Stepper child([] {}, [&] { t.tick(id); });
        const auto look = [&] {
            const Taken got = take(reader);
            for (const tk::Record& r : got.records) {
                check_tick(r, last);
                last = r.Stamp;
            }
            received += got.count();
            for (const char* name : {"rb2601", "IF2512"}) {
                tk::Record r;
                if (tk::read_latest(t.log, name, &r) != TK_OK) {
                    CHECK(false && "the latest tick is blank");
                    continue;
                }
                check_tick(r, 0);
                CHECK_EQ(std::string(r.InstrumentID), name);
            }
            tk::Record out[4];
            std::uint64_t first = 0;
            const std::uint64_t n = tk::read_range(t.log, 0, 4, out, &first);
            for (std::uint64_t i = 0; i < n; ++i) {
                check_tick(out[i], first + i);
                CHECK_EQ(out[i].Stamp, first + i + 1);
            }
            CHECK(n >= 2);
        };
        int states = 0;
        do {
            look();
            ++states;
            if (check::failures() != 0) {
                check::failed(__FILE__, __LINE__, std::string(id) + " after " + std::to_string(child.steps()) + " instructions");
                return;
            }
        } while (child.step_to_change({{t.log.mapping.base(), t.log.mapping.size()}}));
        look();
        CHECK(ended_well(child.status()));
        CHECK(states > 20);
        CHECK_EQ(received, 4u);  // three that were there, and the new one
        CHECK_EQ(last, 5u);
    }
}

TEST(a_status_stopped_at_any_instruction_of_its_copy_is_whole) {
    const std::string old_text(300, 'o'), new_text(500, 'n');
    for (int stop = 60;; stop += 120) {
        TestLog t(2);
        REQUIRE(tk::set_status(&t.log, old_text.data(), 300) == TK_OK);
        Shared<std::int32_t> length;
        const auto stop_the_clock = [] { hooks().clock_result = [](clockid_t, timespec* now) { *now = {}; }; };
        Stepper child(stop_the_clock, [&] {  // no deadline passes in single steps
            char out[tk::kStatusSize];
            const std::int32_t n = *length = tk::get_status(t.log, out, sizeof out);
            CHECK(n == 300 || n == 500);
            CHECK_EQ(std::string(out), n == 300 ? old_text : new_text);
        });
        for (int i = 0; i < stop; ++i) REQUIRE(child.step());
        if (*length == 300) {  // read before it could be stopped
            CHECK(stop > 1000);
            return;
        }
        tk::set_status(&t.log, new_text.data(), 500);
        CHECK(ended_well(child.run()));
        if (check::failures() != 0) {
            check::failed(__FILE__, __LINE__, "stopped at " + std::to_string(stop));
            return;
        }
    }
}
