// The trade journal: nothing that was published is lost, nothing half-written is seen, whatever dies when.
#include <sys/resource.h>
#include <sys/stat.h>

#include <thread>

#include "stepper.hpp"
#include "trading.hpp"

using namespace fixture;

namespace {

bool refused(std::int32_t rc, std::int32_t expected, const char* words) {
    const bool same = CHECK_EQ(rc, expected);
    if (std::strstr(tk_last_error(), words) == nullptr) check::failed(__FILE__, __LINE__, std::string(words) + " not in: " + tk_last_error());
    return same;
}

void damage(const std::string& path, std::uint64_t sequence, std::size_t offset, const void* bytes, std::size_t size) {
    const tk::Descriptor fd(open(path.c_str(), O_WRONLY));
    CHECK_EQ(pwrite(fd.get(), bytes, size, static_cast<off_t>(tk::kTradeHeaderSize + sequence * tk::kTradeRecordSize + offset)),
             static_cast<ssize_t>(size));
}

void set_header(const std::string& path, std::size_t offset, std::uint64_t value) {
    const tk::Descriptor fd(open(path.c_str(), O_WRONLY));
    CHECK_EQ(pwrite(fd.get(), &value, sizeof value, static_cast<off_t>(offset)), static_cast<ssize_t>(sizeof value));
}

std::string bytes_of_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool is_numbered(const tk::TradeRecord& r) {
    const Numbered expected(r.Value);
    return r.Kind == TK_TR_RTN_ORDER && r.Size == sizeof expected.payload && std::memcmp(r.Payload, expected.payload, sizeof expected.payload) == 0;
}

}  // namespace

TEST(trade_crc_is_zlibs) {
    CHECK_EQ(tk::crc32(0, "123456789", 9), 0xCBF43926u);
    CHECK_EQ(tk::crc32(tk::crc32(0, "1234", 4), "56789", 5), 0xCBF43926u);
}

TEST(trade_records_come_out_as_they_went_in) {
    Journal j(1000);
    for (int n = 1; n < 900; ++n) j.add(n);  // past the space that was there at first
    tk::TradeEntry e = note(-7, "words");
    e.request_id = 3;
    e.error_id = 26;
    e.reason = 4097;
    e.is_last = e.has_info = true;
    e.client_id = 1ull << 40;
    e.stamp = {11, 12};
    std::uint64_t sequence = 0;
    ok(j.writer->append(e, &sequence), "append");
    const auto records = j.read();
    CHECK_EQ(sequence, 900u);
    REQUIRE(records.size() == 901);
    CHECK_EQ(records[0].Kind, TK_TR_EPOCH_STARTED);
    CHECK_EQ(records[0].Value, getpid());
    for (int n = 1; n < 900; ++n) CHECK(is_numbered(records[static_cast<std::size_t>(n)]) && records[static_cast<std::size_t>(n)].Value == n);
    const tk::TradeRecord& r = records[900];
    CHECK_EQ(r.RequestID, 3);
    CHECK_EQ(r.ErrorID, 26);
    CHECK_EQ(r.Reason, 4097);
    CHECK_EQ(r.IsLast + 2 * r.HasInfo + 4 * r.HasData, 3);
    CHECK_EQ(r.ClientID, 1ull << 40);
    CHECK_EQ(r.Value, -7);
    CHECK_EQ(r.RecvTime, 11);
    CHECK_EQ(r.RecvMonotonic, 12);
    CHECK_EQ(r.Epoch, 1u);
    CHECK_EQ(std::string(r.ErrorMsg), "words");
}

TEST(trade_text_may_fill_its_place_and_payload_its_own) {
    Journal j;
    const std::string text(200, 'x');
    std::vector<char> payload(tk::kTradePayload, 'y');
    tk::TradeEntry e = note(0, text.c_str());
    e.payload = payload.data();
    e.size = payload.size();
    ok(j.writer->append(e), "append");
    const auto records = j.read();
    CHECK_EQ(strnlen(records[1].ErrorMsg, sizeof records[1].ErrorMsg), 81u);
    CHECK_EQ(records[1].Reserved1, 0);
    CHECK_EQ(records[1].Payload[tk::kTradePayload - 1], 'y');
    e.size = payload.size() + 1;
    refused(j.writer->append(e), TK_E_ARG, "a record holds 832 bytes");
}

TEST(trade_journal_has_one_writer) {
    Journal j;
    tk::TradeWriter second;
    refused(second.open(j.path.c_str(), 64), TK_E_BUSY, ("written by process " + std::to_string(getpid())).c_str());
    j.add(1);
    CHECK_EQ(j.read().size(), 2u);
    j.writer->close();
    ok(second.open(j.path.c_str(), 64), "open");
    CHECK_EQ(second.epoch(), 2u);
    refused(j.writer->open(j.path.c_str(), 64), TK_E_BUSY, "is being written");
    CHECK_EQ(j.kinds()[2], TK_TR_EPOCH_STARTED);
}

TEST(trade_journal_of_a_killed_process_is_taken_over_and_not_before) {
    Journal j;
    j.add(1);
    j.writer->close();
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    const pid_t child = fork_child([&] {
        tk::TradeWriter theirs;
        ok(theirs.open(j.path.c_str(), 64), "open");
        ok(theirs.append(Numbered(2).entry), "append");
        CHECK_EQ(write(ready[1], "x", 1), 1);
        pause();
    });
    char c;
    REQUIRE(read(ready[0], &c, 1) == 1);
    refused(j.writer->open(j.path.c_str(), 64), TK_E_BUSY, ("written by process " + std::to_string(child)).c_str());
    kill(child, SIGKILL);
    wait_child(child);
    close(ready[0]);
    close(ready[1]);
    j.open();
    j.add(3);
    const auto records = j.read();
    REQUIRE(records.size() == 6);
    CHECK_EQ(records[3].Value, 2);
    CHECK_EQ(records[5].Value, 3);
    CHECK_EQ(records[5].Epoch, 3u);
    CHECK_EQ(j.writer->damaged(), 0u);
}

TEST(trade_writers_fork_neither_keeps_nor_gives_up_the_journal_in_another_process) {
    Journal j;
    const pid_t child = fork_child([&] { j.writer->close(); });
    CHECK(ended_well(wait_child(child)));
    tk::TradeWriter second;
    refused(second.open(j.path.c_str(), 64), TK_E_BUSY, "is being written");
    j.add(1);
    CHECK_EQ(j.read().size(), 2u);
}

// A SIGKILL between any two instructions; each time a new writer takes over a copy of the file.
TEST(trade_writer_stopped_at_any_instruction_is_continued) {
    for (const int before : {3, 30}) {  // the second time the file must become longer first
        Journal j(128);
        for (int n = 1; n <= before; ++n) j.add(n);
        tk::TradeReader outside;
        ok(outside.attach(j.path.c_str()), "attach");
        const std::uint64_t head = outside.head();
        // What the child changes: the header, and the two records' places.
        const auto* base = reinterpret_cast<const char*>(&outside.header());
        const char* places = base + tk::kTradeHeaderSize + head * tk::kTradeRecordSize;
        std::vector<std::pair<const char*, std::size_t>> watched{{base, sizeof(tk::TradeHeader)}};
        const std::uint64_t room = outside.header().Room.load();
        if (room >= head + 2) watched.push_back({places, 2 * tk::kTradeRecordSize});
        Stepper child([] {}, [&] {
            j.add(777);
            j.add(778);
        });
        bool more = true;
        std::uint64_t states = 0, most = head;
        for (; more && check::failures() == 0; ++states) {
            const std::uint64_t published = outside.head();
            tk::TradeWriter next;
            const std::string twin = j.twin();
            ok(next.open(twin.c_str(), 128), "open");
            CHECK_EQ(next.damaged(), 0u);
            ok(next.append(Numbered(1000).entry), "append");
            const auto records = Journal::read_journal(twin);
            const std::uint64_t found = records.size() - 2;  // without epoch_started and the one just appended
            CHECK(found >= published && found <= published + 1 && found >= most);
            most = found;
            for (std::uint64_t s = 1; s < found; ++s) CHECK(is_numbered(records[s]));
            if (found > head) CHECK_EQ(records[head].Value, 777);
            if (found > head + 1) CHECK_EQ(records[head + 1].Value, 778);
            CHECK_EQ(records[found].Kind, TK_TR_EPOCH_STARTED);
            CHECK(is_numbered(records.back()) && records.back().Value == 1000);
            next.close();
            if (check::failures() != 0) check::failed(__FILE__, __LINE__, "after " + std::to_string(child.steps()) + " instructions");
            more = child.step_to_change(watched);
        }
        CHECK_EQ(most, head + 2);
        CHECK(states > 4);
        CHECK(ended_well(child.status()));
    }
}

// The making of the file, likewise: whatever is left, the next one makes a whole journal of it.
TEST(trade_journal_whose_maker_stopped_at_any_instruction_is_made_anew) {
    check::Directory directory;
    const std::string path = directory.file("journal");
    auto* shared = static_cast<std::atomic<std::uint32_t>*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(shared != MAP_FAILED);
    Stepper child([] {}, [&] {
        tk::TradeWriter writer;
        ok(writer.open(path.c_str(), 16), "open");
        shared->store(1);
    });
    std::uint64_t states = 0;
    for (bool more = true; more && check::failures() == 0; ++states) {
        for (int i = 0; more && i < 97; ++i) more = child.step();
        if (!std::filesystem::exists(path)) continue;
        const std::string twin = directory.file("twin");
        std::filesystem::copy_file(path, twin, std::filesystem::copy_options::overwrite_existing);
        std::uint64_t nobody = 0;
        if (std::filesystem::file_size(twin) >= tk::kTradeHeaderSize) {
            const tk::Descriptor fd(open(twin.c_str(), O_WRONLY));
            CHECK_EQ(pwrite(fd.get(), &nobody, 8, offsetof(tk::TradeHeader, WriterProcess)), 8);
        }
        tk::TradeWriter next;
        ok(next.open(twin.c_str(), 16), "open");
        ok(next.append(Numbered(5).entry), "append");
        const auto records = Journal::read_journal(twin);
        CHECK(records.size() >= 2 && is_numbered(records.back()));
        next.close();
    }
    CHECK(states > 20);
    CHECK_EQ(shared->load(), 1u);
    CHECK(ended_well(child.status()));
    munmap(shared, 4096);
}

TEST(trade_damaged_record_is_refused_by_readers_and_the_next_writer) {
    const char zeros[tk::kTradeRecordSize] = {};
    struct Damage {
        std::size_t offset;
        const char* bytes;
        std::size_t size;
    };
    for (const Damage& d : {Damage{0, "\xFF", 1}, Damage{8, "\xFF", 1}, Damage{offsetof(tk::TradeRecord, Value), "\x55", 1},
                            Damage{offsetof(tk::TradeRecord, Crc), "\x55", 1}, Damage{offsetof(tk::TradeRecord, Size), "\xFF\xFF", 2},
                            Damage{offsetof(tk::TradeRecord, Payload) + 799, "\x55", 1}, Damage{0, zeros, sizeof zeros}}) {
        for (const bool head_lags : {false, true}) {
            Journal j;
            for (int n = 1; n <= 9; ++n) j.add(n);
            tk::TradeReader reader;
            ok(reader.attach(j.path.c_str()), "attach");
            j.writer->close();
            damage(j.path, 4, d.offset, d.bytes, d.size);
            if (head_lags) set_header(j.path, offsetof(tk::TradeHeader, Head), 2);
            const std::string before = bytes_of_file(j.path);
            const std::string words = "'" + j.path + "' is damaged: record 4 is not what was written; move it away";
            refused(j.writer->open(j.path.c_str(), 64), TK_E_LAYOUT, words.c_str());
            CHECK(bytes_of_file(j.path) == before);
            if (head_lags) continue;
            std::vector<tk::TradeRecord> records(10);
            std::uint64_t copied = 7;
            refused(reader.read(0, 10, records.data(), &copied), TK_E_LAYOUT, words.c_str());
            CHECK_EQ(copied, 0u);
            for (const auto& [start, count] : {std::pair{0u, 4u}, {5u, 5u}}) {
                ok(reader.read(start, count, records.data(), &copied), "read");
                CHECK_EQ(copied, count);
            }
        }
    }
}

// All that a reader takes from the header, before it is attached and under it: refused, or of no account.
TEST(trade_hostile_header_is_refused_or_of_no_account) {
    std::vector<std::uint64_t> numbers{65, 66, 1ull << 20, (1ull << 32) - 1, 1ull << 32, (1ull << 32) + 1, 1ull << 53};
    for (int shift = 32; shift < 64; ++shift)
        for (const std::uint64_t off : {std::uint64_t{0}, std::uint64_t{3}, ~std::uint64_t{3}}) numbers.push_back((1ull << shift) + off);
    std::uint64_t state = 20260105;
    for (int n = 0; n < 200; ++n) numbers.push_back((state = state * 6364136223846793005ull + 1442695040888963407ull) | 1ull << 40);
    for (const std::uint64_t d : {0, 1, 2, 3, 4, 5, 1000}) numbers.push_back(~std::uint64_t{0} - d);
    Journal j;
    for (int n = 1; n <= 9; ++n) j.add(n);
    std::vector<tk::TradeRecord> records(64);
    std::uint64_t copied = 0;
    for (const std::uint64_t number : numbers) {
        tk::TradeReader early, late;
        ok(early.attach(j.path.c_str()), "attach");
        set_header(j.path, offsetof(tk::TradeHeader, Head), number);
        refused(late.attach(j.path.c_str()), TK_E_LAYOUT, "is damaged");
        for (const std::uint64_t start : {std::uint64_t{0}, number - 1, number / 2, ~std::uint64_t{0} - 1}) {
            if (early.read(start, 64, records.data(), &copied) == TK_OK) CHECK_EQ(copied, 0u);
            else CHECK(std::strstr(tk_last_error(), "is damaged") != nullptr);
        }
        set_header(j.path, offsetof(tk::TradeHeader, Head), 10);
        for (const std::size_t field : {offsetof(tk::TradeHeader, Capacity), offsetof(tk::TradeHeader, Room), offsetof(tk::TradeHeader, Damaged)}) {
            set_header(j.path, field, number);
            ok(early.read(0, 64, records.data(), &copied), "read");
            CHECK_EQ(copied, 10u);
            tk::TradeReader other;
            const bool capacity = field == offsetof(tk::TradeHeader, Capacity);
            if (capacity && number > 1ull << 32) {
                refused(other.attach(j.path.c_str()), TK_E_LAYOUT, "is damaged: its capacity is");
            } else if (const std::int32_t rc = other.attach(j.path.c_str()); rc != TK_OK) {
                // More address space than there is: the thread sanitizer leaves less than 4 TiB.
                CHECK(capacity && number > 1ull << 20 && std::strstr(tk_last_error(), "cannot map") != nullptr);
            }
            set_header(j.path, field, 64);
        }
    }
}

// The writer goes by its own numbers: it neither leaves the file nor writes over what is there.
TEST(trade_writer_whose_header_is_overwritten_goes_on) {
    for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{1} << 40, (std::uint64_t{1} << 54) + 3, ~std::uint64_t{0}}) {
        Journal j;
        for (int n = 1; n <= 3; ++n) j.add(n);
        for (const std::size_t field : {offsetof(tk::TradeHeader, Head), offsetof(tk::TradeHeader, Room), offsetof(tk::TradeHeader, Capacity)})
            set_header(j.path, field, number);
        for (int n = 4; n <= 40; ++n) {
            j.writer->reserve();
            CHECK_EQ(j.writer->room_for_orders(), TK_OK);
            j.add(n);
        }
        set_header(j.path, offsetof(tk::TradeHeader, Capacity), 64);
        const auto records = j.read();
        REQUIRE(records.size() == 41);
        for (int n = 1; n <= 40; ++n) CHECK(is_numbered(records[static_cast<std::size_t>(n)]) && records[static_cast<std::size_t>(n)].Value == n);
    }
}

TEST(trade_writer_refuses_a_journal_that_counts_more_than_it_has_and_leaves_it) {
    for (const std::uint64_t number : {std::uint64_t{65}, (std::uint64_t{1} << 54) + 3, ~std::uint64_t{0}}) {
        Journal j;
        for (int n = 1; n <= 9; ++n) j.add(n);
        j.writer->close();
        set_header(j.path, offsetof(tk::TradeHeader, Head), number);
        std::string before = bytes_of_file(j.path);
        refused(j.writer->open(j.path.c_str(), 64), TK_E_LAYOUT, ("records, not " + std::to_string(number)).c_str());
        CHECK(bytes_of_file(j.path) == before);
        set_header(j.path, offsetof(tk::TradeHeader, Head), 10);
        set_header(j.path, offsetof(tk::TradeHeader, Magic), 0);
        before = bytes_of_file(j.path);
        refused(j.writer->open(j.path.c_str(), 64), TK_E_LAYOUT, "records without a header");
        CHECK(bytes_of_file(j.path) == before);
    }
}

TEST(trade_torn_end_is_cut_and_counted) {
    for (const bool zeros : {false, true}) {
        Journal j;
        for (int n = 1; n <= 9; ++n) j.add(n);
        j.writer->close();
        const std::vector<char> bytes(zeros ? tk::kTradeRecordSize : 3, 0);
        for (const std::uint64_t s : {8u, 9u}) damage(j.path, s, zeros ? 0 : 300, bytes.data(), bytes.size());
        j.open();
        CHECK_EQ(j.writer->damaged(), 2u);
        j.add(50);
        const auto records = j.read();
        REQUIRE(records.size() == 10);
        CHECK_EQ(records[7].Value, 7);
        CHECK_EQ(records[8].Kind, TK_TR_EPOCH_STARTED);
        CHECK_EQ(records[9].Value, 50);
    }
}

// The header's page was not written to the disk any more, the records' pages were.
TEST(trade_head_that_lags_behind_the_records_is_found) {
    Journal j;
    for (int n = 1; n <= 9; ++n) j.add(n);
    j.writer->close();
    const std::uint64_t early = 3;
    const tk::Descriptor fd(open(j.path.c_str(), O_WRONLY));
    REQUIRE(pwrite(fd.get(), &early, 8, offsetof(tk::TradeHeader, Head)) == 8);
    j.open();
    CHECK_EQ(j.read().size(), 11u);
    CHECK_EQ(j.writer->damaged(), 0u);
}

TEST(trade_limit_leaves_room_for_returns) {
    Journal j(64);
    while (j.writer->room_for_orders() == TK_OK) j.add(1);
    CHECK_EQ(j.writer->head(), 48u);  // a quarter is kept
    refused(j.writer->room_for_orders(), TK_E_FULL, "has 48 of 64 records: the rest is kept for returns");
    for (int n = 0; n < 16; ++n) j.add(2);
    refused(j.writer->append(note(3)), TK_E_FULL, "is full: 64 records");
    tk::TradeReader reader;
    ok(reader.attach(j.path.c_str()), "attach");
    j.writer->close();
    refused(j.writer->open(j.path.c_str(), 64), TK_E_FULL, "is full");
    j.open(256);  // a reader that is there sees the new ones too
    j.add(4);
    CHECK_EQ(j.writer->room_for_orders(), TK_OK);
    tk::TradeRecord r;
    std::uint64_t copied = 0;
    ok(reader.read(65, 1, &r, &copied), "read");
    CHECK_EQ(copied, 1u);
    CHECK(is_numbered(r) && r.Value == 4);
}

// Files may grow to so many bytes only: as a disk that is full.
TEST(trade_disk_full_refuses_orders_first_in_another_process) {
    const pid_t child = fork_child([] {
        signal(SIGXFSZ, SIG_IGN);
        Journal j(1024);
        const rlimit before{RLIM_INFINITY, RLIM_INFINITY};
        rlimit limit{std::filesystem::file_size(j.path), RLIM_INFINITY};
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        const std::uint64_t room = (limit.rlim_cur - tk::kTradeHeaderSize) / tk::kTradeRecordSize;
        while (j.writer->room_for_orders() == TK_OK) j.add(1);
        refused(j.writer->room_for_orders(), TK_E_FULL, "make room on the trade journal's disk");
        CHECK_EQ(j.writer->head(), room - 256);
        while (j.writer->head() < room) j.add(2);
        refused(j.writer->append(note(3)), TK_E_FULL, "is full");
        CHECK_EQ(j.read().size(), room);
        REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK_EQ(j.writer->append(note(4)), TK_OK);
        CHECK_EQ(j.writer->room_for_orders(), TK_OK);
    });
    CHECK(ended_well(wait_child(child)));
}

TEST(trade_reserve_has_space_ready_before_it_is_needed) {
    Journal j(1024);
    tk::TradeReader reader;
    ok(reader.attach(j.path.c_str()), "attach");
    for (int n = 0; n < 600; ++n) {
        j.writer->reserve();
        const std::uint64_t room = reader.header().Room.load();
        CHECK(room == 1024 || room >= reader.head() + 512);
        j.add(n);
        CHECK_EQ(reader.header().Room.load(), room);
    }
}

// The record comes at the last moment before a reader sleeps: it must not sleep.
TEST(trade_reader_that_lies_down_while_a_record_comes_does_not_sleep) {
    Journal j;
    tk::TradeReader reader;
    ok(reader.attach(j.path.c_str()), "attach");
    const std::uint64_t timed_out = futex_counts().timed_out.load(), waits = futex_counts().waits.load();
    hooks().futex_wait = [&] { j.add(1); };
    CHECK(reader.wait(1, 60000000000));
    hooks().futex_wait = nullptr;
    CHECK_EQ(futex_counts().waits.load(), waits + 1);
    CHECK_EQ(futex_counts().timed_out.load(), timed_out);
    // A moment earlier, after its first look and before it has said that it will sleep: nobody wakes it.
    bool once = false;
    hooks().clock = [&] {
        if (!std::exchange(once, true)) j.add(2);
    };
    CHECK(reader.wait(2, -1));
    hooks().clock = nullptr;
    CHECK(once);
    CHECK_EQ(futex_counts().waits.load(), waits + 1);
    CHECK_EQ(futex_counts().timed_out.load(), timed_out);
    CHECK(!reader.wait(3, 1000000));
}

TEST(trade_readers_are_woken) {
    Journal j(4096);
    constexpr int readers = 3, records = 400;
    const EndlessSleeps endless;
    std::atomic<int> behind{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < readers; ++i)
        threads.emplace_back([&] {
            tk::TradeReader reader;
            ok(reader.attach(j.path.c_str()), "attach");
            tk::TradeRecord r;
            std::uint64_t copied = 0;
            for (std::uint64_t s = 1; s <= records; ++s) {
                CHECK(reader.wait(s, -1));
                ok(reader.read(s, 1, &r, &copied), "read");
                CHECK(copied == 1 && is_numbered(r) && r.Value == static_cast<std::int64_t>(s));
                behind.fetch_add(1);
            }
        });
    for (int n = 1; n <= records; ++n) {
        j.add(n);
        if (n % 8 == 0) CHECK(eventually([&] { return behind.load() == n * readers; }));  // all asleep, or nearly
    }
    for (std::thread& t : threads) t.join();
}

TEST(trade_threads_may_append_at_once) {
    Journal j(8192);
    constexpr int threads = 3, each = 1000;
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t)
        all.emplace_back([&, t] {
            for (int n = 0; n < each; ++n) j.add(t * each + n);
        });
    for (std::thread& t : all) t.join();
    const auto records = j.read();
    REQUIRE(records.size() == threads * each + 1);
    std::vector<std::int64_t> last(threads, -1);
    for (std::size_t s = 1; s < records.size(); ++s) {
        CHECK(is_numbered(records[s]));
        auto& mine = last[static_cast<std::size_t>(records[s].Value / each)];
        CHECK(records[s].Value > mine);
        mine = records[s].Value;
    }
}

TEST(trade_journal_that_is_none_is_refused) {
    check::Directory directory;
    const std::string path = directory.file("journal");
    tk::TradeWriter writer;
    tk::TradeReader reader;
    refused(reader.attach(path.c_str()), TK_E_NOT_FOUND, "does not exist");
    std::ofstream(path) << std::string(8192, 'x');
    refused(writer.open(path.c_str(), 64), TK_E_LAYOUT, "mode 644");
    refused(reader.attach(path.c_str()), TK_E_LAYOUT, "mode 644");
    chmod(path.c_str(), 0600);
    refused(writer.open(path.c_str(), 64), TK_E_LAYOUT, "not a trade journal (wrong magic)");
    refused(reader.attach(path.c_str()), TK_E_LAYOUT, "not a trade journal (wrong magic)");
    const std::string link = directory.file("link");
    std::filesystem::create_symlink(path, link);
    refused(writer.open(link.c_str(), 64), TK_E_SYS, "cannot open");
    for (const std::uint64_t capacity : {0ull, 15ull, 1ull << 33})
        refused(writer.open(directory.file("other").c_str(), capacity), TK_E_ARG, "capacity");
}

TEST(trade_journal_of_another_layout_or_cut_short_is_refused) {
    Journal j;
    j.add(1);
    j.writer->close();
    const std::uint32_t version = 99;
    {
        const tk::Descriptor fd(open(j.path.c_str(), O_WRONLY));
        REQUIRE(pwrite(fd.get(), &version, 4, 8) == 4);
    }
    tk::TradeReader reader;
    refused(j.writer->open(j.path.c_str(), 64), TK_E_LAYOUT, "journal layout 99, this build reads 1");
    refused(reader.attach(j.path.c_str()), TK_E_LAYOUT, "journal layout 99");
    Journal k;
    k.add(1);
    REQUIRE(truncate(k.path.c_str(), 4096) == 0);
    k.writer->close();
    refused(k.writer->open(k.path.c_str(), 64), TK_E_LAYOUT, "its 4096 bytes hold 0 records, not 2");
    refused(reader.attach(k.path.c_str()), TK_E_LAYOUT, "its 4096 bytes hold 0 records, not 2");
}
