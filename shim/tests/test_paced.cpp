// Ticks on a schedule: what benchmarks publish.
#include "fixture.hpp"

using namespace fixture;

namespace {

struct Surface {
    Surface() {
        const std::string path = directory.file("log");
        TestLog::ok(tk_log_create(path.c_str(), "test", 64, 16, &log), "tk_log_create");
        TestLog::ok(tk_writer_open(log, 1, &writer), "tk_writer_open");
        tk_log_info info;
        TestLog::ok(tk_log_info_get(log, &info), "tk_log_info_get");
        first = info.head;
    }
    ~Surface() {
        tk_writer_close(writer);
        tk_log_close(log);
    }
    check::Directory directory;
    tk_log* log = nullptr;
    tk_writer* writer = nullptr;
    std::uint64_t first = 0;
};

}  // namespace

TEST(paced_ticks_are_published_when_they_are_due_and_numbered) {
    Surface s;
    constexpr std::uint64_t kBurst = 4, kCount = 10;  // two whole bursts and half of one
    constexpr std::int64_t kInterval = 3000000;
    std::vector<std::int64_t> times(2 * kCount);
    const std::int64_t start = tk::monotonic_ns() + 5000000;
    CHECK_EQ(tk_writer_paced(s.writer, 3, Depth("rb2601", 3, "SHFE").fill(7).bytes(), start, kInterval, kBurst, kCount,
                             times.data()),
             TK_OK);
    std::vector<tk::Record> records(kCount);
    std::uint64_t first = 0, copied = 0;
    CHECK_EQ(tk_log_read(s.log, s.first, kCount, records.data(), &first, &copied), TK_OK);
    REQUIRE(copied == kCount && first == s.first);
    std::int64_t before = start;
    for (std::uint64_t i = 0; i < kCount; ++i) {
        const std::int64_t began = times[2 * i], done = times[2 * i + 1];
        const std::int64_t due = start + static_cast<std::int64_t>(i / kBurst) * kInterval;
        CHECK(began >= due);
        CHECK(began >= before && done >= began);
        before = done;
        CHECK_EQ(records[i].Volume, static_cast<std::int32_t>(i));
        CHECK_EQ(records[i].LastPrice, 7.0 + tk::depth::kLastPrice);  // all else is the struct's
    }
}

TEST(a_schedule_that_lies_behind_is_caught_up_at_once) {
    Surface s;
    std::vector<std::int64_t> times(2 * 3);
    // Due an hour apart, the last one two hours ago: whoever stretched the schedule would never return.
    const std::int64_t hour = 3600000000000;
    CHECK_EQ(tk_writer_paced(s.writer, 1, Depth("rb2601", 1, "SHFE").bytes(), tk::monotonic_ns() - 4 * hour, hour, 1, 3,
                             times.data()),
             TK_OK);
    tk_log_info info;
    CHECK_EQ(tk_log_info_get(s.log, &info), TK_OK);
    CHECK_EQ(info.head, s.first + 3);
}

TEST(a_schedule_that_is_none_is_refused) {
    Surface s;
    std::int64_t times[2];
    const Depth depth("rb2601", 3, "SHFE");
    CHECK_EQ(tk_writer_paced(s.writer, 9, depth.bytes(), 0, 1, 1, 1, times), TK_E_ARG);
    CHECK_EQ(tk_writer_paced(s.writer, 3, depth.bytes(), 0, 1, 0, 1, times), TK_E_ARG);
    CHECK_EQ(tk_writer_paced(s.writer, 3, depth.bytes(), 0, -1, 1, 1, times), TK_E_ARG);
    tk_log_info info;
    CHECK_EQ(tk_log_info_get(s.log, &info), TK_OK);
    CHECK_EQ(info.head, s.first);
}
