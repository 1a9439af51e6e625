// Shared files: what is made, what is refused, who may take a name over.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "fixture.hpp"

using namespace fixture;

namespace {

bool says(const char* part) { return std::strstr(tk_last_error(), part) != nullptr; }
bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void make_log(const std::string& path, std::uint64_t capacity = 4) {
    tk::Log log;
    TestLog::ok(tk::create_log(path.c_str(), "seg", capacity, 4, &log), "create_log");
}

void make_queue(const std::string& path) {
    const char* ids[] = {"rb2601", "IF2512"};
    tk::Queue queue;
    TestLog::ok(tk::create_queue(path.c_str(), "q", ids, 2, TK_START_NOW, false, 0, &queue), "create_queue");
}

void patch(const std::string& path, std::size_t offset, const void* bytes, std::size_t size) {
    const int fd = open(path.c_str(), O_WRONLY);
    if (pwrite(fd, bytes, size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size)) throw check::Skip{"pwrite"};
    close(fd);
}

template <typename T>
void patch(const std::string& path, std::size_t offset, T value) {
    patch(path, offset, &value, sizeof value);
}

std::int32_t attach(const std::string& path) {
    tk::Log log;
    return tk::attach_log(path.c_str(), &log);
}

std::int32_t attach_queue(const std::string& path) {
    tk::Queue queue;
    return tk::attach_queue(path.c_str(), &queue);
}

}  // namespace

TEST(a_new_log_can_be_attached_and_has_what_was_asked_for) {
    check::Directory d;
    tk::Log log, other;
    REQUIRE(tk::create_log(d.file("log").c_str(), "main", 5, 7, &log) == TK_OK);
    struct stat st;
    REQUIRE(stat(d.file("log").c_str(), &st) == 0);
    CHECK_EQ(st.st_mode & 07777u, 0600u);
    CHECK(static_cast<std::uint64_t>(st.st_blocks) * 512 >= log.mapping.size());  // reserved, not sparse
    REQUIRE(tk::attach_log(d.file("log").c_str(), &other) == TK_OK);
    CHECK_EQ(other.capacity, 8u);  // rounded up
    CHECK_EQ(other.instrument_capacity, 7u);
    CHECK_EQ(std::string(other.header->Name), "main");
    CHECK_EQ(other.header->UniqueId, log.header->UniqueId);
    CHECK(other.owner_alive());
    log.records[3].Volume = 17;
    CHECK_EQ(other.records[3].Volume, 17);
}

TEST(arguments_out_of_range_are_refused_and_leave_no_file) {
    check::Directory d;
    const std::string path = d.file("log"), longest(63, 'n'), too_long(64, 'n');
    tk::Log log;
    CHECK_EQ(tk::create_log(path.c_str(), too_long.c_str(), 4, 4, &log), TK_E_ARG);
    CHECK_EQ(tk::create_log(path.c_str(), "n", 1, 4, &log), TK_E_ARG);
    CHECK_EQ(tk::create_log(path.c_str(), "n", ~0ull, 4, &log), TK_E_ARG);
    CHECK_EQ(tk::create_log(path.c_str(), "n", 4, 0, &log), TK_E_ARG);
    CHECK_EQ(tk::create_log(path.c_str(), "n", 4, ~0ull, &log), TK_E_ARG);
    CHECK(!exists(path));
    CHECK_EQ(tk::create_log(path.c_str(), longest.c_str(), 4, 4, &log), TK_OK);
    tk::Queue q;
    const std::string id80(80, 'i'), id81(81, 'i');
    const char* bad[] = {"rb2601", ""};
    const char* bad_long[] = {id81.c_str()};
    const char* good[] = {id80.c_str()};
    const std::string file = d.file("q");
    CHECK_EQ(tk::create_queue(file.c_str(), too_long.c_str(), nullptr, 0, -1, false, 0, &q), TK_E_ARG);
    CHECK_EQ(tk::create_queue(file.c_str(), "q", bad, 2, -1, false, 0, &q), TK_E_ARG);
    CHECK_EQ(tk::create_queue(file.c_str(), "q", bad_long, 1, -1, false, 0, &q), TK_E_ARG);
    CHECK_EQ(tk::create_queue(file.c_str(), "q", nullptr, 0, -3, false, 0, &q), TK_E_ARG);
    CHECK_EQ(tk::create_queue(file.c_str(), "q", nullptr, 0, -1, false, 3, &q), TK_E_ARG);
    CHECK(!exists(file));
    CHECK_EQ(tk::create_queue(file.c_str(), "q", good, 1, -1, false, 0, &q), TK_OK);
}

TEST(attach_refuses_what_is_not_a_private_regular_file) {
    check::Directory d;
    make_log(d.file("log"));
    make_queue(d.file("queue"));
    CHECK_EQ(attach(d.file("missing")), TK_E_NOT_FOUND);
    CHECK_EQ(attach(d.path()), TK_E_SYS);  // a directory
    CHECK_EQ(attach_queue(d.path()), TK_E_SYS);
    REQUIRE(symlink(d.file("log").c_str(), d.file("link").c_str()) == 0);
    CHECK_EQ(attach(d.file("link")), TK_E_SYS);
    REQUIRE(mkfifo(d.file("pipe").c_str(), 0600) == 0);
    CHECK_EQ(attach(d.file("pipe")), TK_E_LAYOUT);
    for (const mode_t mode : {0640, 0604, 0620, 0602, 0610}) {
        chmod(d.file("log").c_str(), mode);
        chmod(d.file("queue").c_str(), mode);
        CHECK_EQ(attach(d.file("log")), TK_E_LAYOUT);
        CHECK_EQ(attach_queue(d.file("queue")), TK_E_LAYOUT);
    }
    for (const char* name : {"log", "queue"}) {
        chmod(d.file(name).c_str(), 0600);
        REQUIRE(link(d.file(name).c_str(), d.file("second name").c_str()) == 0);
        for (const char* either : {name, "second name"}) {
            CHECK_EQ(name[0] == 'l' ? attach(d.file(either)) : attach_queue(d.file(either)), TK_E_LAYOUT);
            CHECK(says("has other names (hard links)"));
        }
        REQUIRE(unlink(d.file("second name").c_str()) == 0);
    }
    CHECK_EQ(attach(d.file("log")), TK_OK);
    CHECK_EQ(attach_queue(d.file("queue")), TK_OK);
}

TEST(attach_refuses_other_files_other_versions_and_other_record_sizes) {
    check::Directory d;
    const std::string path = d.file("log"), queue = d.file("queue");
    for (const std::size_t size : {0, 1, 511, 4095, 4096, 100000}) {
        std::ofstream(path) << std::string(size, 'x');
        chmod(path.c_str(), 0600);
        CHECK_EQ(attach(path), TK_E_LAYOUT);
        CHECK_EQ(attach_queue(path), TK_E_LAYOUT);
        unlink(path.c_str());
    }
    make_log(path);
    make_queue(queue);
    CHECK_EQ(attach_queue(path), TK_E_LAYOUT);  // each is not the other
    CHECK_EQ(attach(queue), TK_E_LAYOUT);
    patch<std::uint32_t>(path, offsetof(tk::LogHeader, LayoutVersion), tk::kLayoutVersion + 1);
    patch<std::uint32_t>(queue, offsetof(tk::QueueHeader, LayoutVersion), tk::kLayoutVersion + 1);
    CHECK_EQ(attach(path), TK_E_LAYOUT);
    CHECK(says("version 5") && says("reads 4"));  // both are named
    CHECK_EQ(attach_queue(queue), TK_E_LAYOUT);
    CHECK(says("version 5") && says("reads 4"));
    unlink(path.c_str());
    make_log(path);
    patch<std::uint32_t>(path, offsetof(tk::LogHeader, RecordSize), 440);
    CHECK_EQ(attach(path), TK_E_LAYOUT);
    CHECK(says("440") && says("448"));
}

TEST(attach_refuses_geometry_that_does_not_add_up) {
    check::Directory d;
    const std::string path = d.file("log");
    struct Change {
        std::size_t offset;
        std::uint64_t value;
    };
    const Change changes[] = {
        {offsetof(tk::LogHeader, Capacity), 0},
        {offsetof(tk::LogHeader, Capacity), 1},
        {offsetof(tk::LogHeader, Capacity), 3},
        {offsetof(tk::LogHeader, Capacity), 64},
        {offsetof(tk::LogHeader, Capacity), 1ull << 63},
        {offsetof(tk::LogHeader, InstrumentCapacity), 0},
        {offsetof(tk::LogHeader, InstrumentCapacity), 50000},
        {offsetof(tk::LogHeader, InstrumentCapacity), ~0ull},
        {offsetof(tk::LogHeader, TotalSize), 4096},
        {offsetof(tk::LogHeader, TotalSize), ~0ull},
        {offsetof(tk::LogHeader, ReadersOffset), 0},
        {offsetof(tk::LogHeader, InstrumentsOffset), 1ull << 40},
        {offsetof(tk::LogHeader, SavedOffset), 8},
        {offsetof(tk::LogHeader, RecordsOffset), ~0ull},
    };
    for (const Change& c : changes) {
        make_log(path);
        patch(path, c.offset, c.value);
        CHECK_EQ(attach(path), TK_E_LAYOUT);
        unlink(path.c_str());
    }
    make_log(path);
    patch<std::uint32_t>(path, offsetof(tk::LogHeader, InstrumentCount), 5);  // of 4
    CHECK_EQ(attach(path), TK_E_LAYOUT);
    unlink(path.c_str());
    make_log(path);
    patch(path, offsetof(tk::LogHeader, Name), std::string(64, 'n').data(), 64);
    CHECK_EQ(attach(path), TK_E_LAYOUT);
    unlink(path.c_str());
    make_log(path, 64);
    REQUIRE(truncate(path.c_str(), 40960) == 0);
    CHECK_EQ(attach(path), TK_E_LAYOUT);

    const std::string queue = d.file("queue");
    for (const std::uint32_t count : {0u, 1000u, ~0u}) {
        make_queue(queue);
        patch(queue, offsetof(tk::QueueHeader, FilterCount), count);
        CHECK_EQ(attach_queue(queue), TK_E_LAYOUT);
        unlink(queue.c_str());
    }
    make_queue(queue);
    patch(queue, tk::kQueueHeaderSize, std::string(81, 'i').data(), 81);
    CHECK_EQ(attach_queue(queue), TK_E_LAYOUT);
}

// Any bytes in the header: attach says yes or no, and what it says yes to can be looked at.
TEST(attach_survives_random_bytes_in_the_header) {
    constexpr std::uint64_t seed = 20261121;
    check::Directory d;
    check::Random random(seed);
    const std::string files[] = {d.file("log"), d.file("queue")};
    make_log(files[0]);
    make_queue(files[1]);
    std::uint32_t accepted = 0, refused = 0;
    for (int which = 0; which < 2; ++which) {
        const int fd = open(files[which].c_str(), O_RDWR);
        constexpr std::size_t size = 4096;
        auto* bytes = static_cast<unsigned char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        close(fd);
        const std::vector<unsigned char> good(bytes, bytes + size);
        const std::size_t interesting = which == 0 ? 512 : 800;  // the fields; the rest is status or padding
        for (int round = 0; round < 4000; ++round) {
            const std::uint64_t n = 1 + random.below(round % 8 == 0 ? 200 : 3);
            for (std::uint64_t i = 0; i < n; ++i) {
                const std::size_t at = random.below(random.below(16) == 0 ? size : interesting);
                static const unsigned char corners[] = {0, 1, 0x7F, 0x80, 0xFF};
                bytes[at] = random.below(2) == 0 ? static_cast<unsigned char>(random.next()) : corners[random.below(5)];
            }
            if (which == 0) {
                tk::Log log;
                if (tk::attach_log(files[0].c_str(), &log) == TK_OK) {
                    ++accepted;
                    tk_reader_info info;
                    tk::list_readers(log, &info, 1);
                    (void)log.owner_alive();
                    tk::Record r;
                    std::uint64_t first;
                    tk::read_range(log, log.header->Head.load(), 1, &r, &first);
                } else {
                    ++refused;
                }
            } else {
                tk::Queue queue;
                if (tk::attach_queue(files[1].c_str(), &queue) == TK_OK) {
                    ++accepted;
                    for (std::uint32_t f = 0; f < queue.filter_count; ++f)
                        CHECK(std::strlen(queue.filters[f].InstrumentID) < tk::kInstrumentIdSize);
                } else {
                    ++refused;
                }
            }
            std::memcpy(bytes, good.data(), size);
        }
        munmap(bytes, size);
    }
    CHECK(accepted > 100);  // both answers happen, or the loop proves nothing
    CHECK(refused > 100);
}

TEST(a_live_owners_name_is_refused_with_its_pid) {
    check::Directory d;
    tk::Log mine, second;
    REQUIRE(tk::create_log(d.file("log").c_str(), "main", 4, 4, &mine) == TK_OK);
    CHECK_EQ(tk::create_log(d.file("log").c_str(), "main", 4, 4, &second), TK_E_EXISTS);
    CHECK(says(("pid " + std::to_string(getpid())).c_str()));
    tk::Log there;
    REQUIRE(tk::attach_log(d.file("log").c_str(), &there) == TK_OK);
    CHECK_EQ(there.header->UniqueId, mine.header->UniqueId);
    // A dead owner whose writer lives on still holds the name.
    mine.header->WriterProcess = mine.header->OwnerProcess.load();
    mine.header->OwnerProcess = 0;
    CHECK_EQ(tk::create_log(d.file("log").c_str(), "main", 4, 4, &second), TK_E_EXISTS);
}

TEST(takeover_of_a_dead_owners_file) {
    check::Directory d;
    const std::string path = d.file("log");
    const pid_t child = fork_child([&] {
        tk::Log log;
        CHECK_EQ(tk::create_log(path.c_str(), "main", 4, 4, &log), TK_OK);
    });
    REQUIRE(ended_well(wait_child(child)));
    tk::Log old, mine, there;
    REQUIRE(tk::attach_log(path.c_str(), &old) == TK_OK);
    CHECK(!old.owner_alive());
    REQUIRE(tk::create_log(path.c_str(), "main", 8, 4, &mine) == TK_OK);
    REQUIRE(tk::attach_log(path.c_str(), &there) == TK_OK);
    CHECK_EQ(there.header->UniqueId, mine.header->UniqueId);
    CHECK(old.header->UniqueId != mine.header->UniqueId);
    CHECK_EQ(tk::unlink_log(old), TK_E_STATE);  // somebody else's by now
    CHECK(exists(path));
    CHECK_EQ(tk::unlink_log(mine), TK_OK);
    CHECK(!exists(path));
    CHECK_EQ(tk::unlink_log(mine), TK_OK);  // nothing there is no failure
}

TEST(a_log_is_removed_without_a_descriptor_to_spare) {
    check::Directory d;
    const std::string path = d.file("log");
    tk::Log log;
    REQUIRE(tk::create_log(path.c_str(), "main", 4, 4, &log) == TK_OK);
    rlimit before;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const std::int32_t rc = tk::unlink_log(log);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK_EQ(rc, TK_OK);
    CHECK(!exists(path));
}

TEST(a_zombie_owner_counts_as_dead_and_takeover_is_allowed) {
    check::Directory d;
    const std::string path = d.file("log");
    const pid_t child = fork_child([&] {
        tk::Log log;
        CHECK_EQ(tk::create_log(path.c_str(), "main", 4, 4, &log), TK_OK);
    });
    siginfo_t info;
    REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
    tk::Log mine;
    CHECK_EQ(tk::create_log(path.c_str(), "main", 4, 4, &mine), TK_OK);
    wait_child(child);
}

// Engines that start together: one gets the name, and the file there is its file.
TEST(takeover_races_between_processes_have_one_winner) {
    check::Directory d;
    const std::string path = d.file("log");
    struct Shared {
        std::atomic<int> go, ready, winners, losers;
        std::atomic<std::uint64_t> winner;
        std::atomic<int> finish;
    };
    auto* shared = static_cast<Shared*>(
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    for (int round = 0; round < 60; ++round) {
        new (shared) Shared{};
        unlink(path.c_str());
        if (round % 2 == 1) {  // with a dead one's file in the way
            REQUIRE(ended_well(wait_child(fork_child([&] { make_log(path); }))));
        }
        pid_t children[4];
        for (pid_t& child : children)
            child = fork_child([&] {
                shared->ready.fetch_add(1);
                if (!eventually([&] { return shared->go.load() != 0; })) _exit(9);
                tk::Log log;
                const std::int32_t rc = tk::create_log(path.c_str(), "main", 2048, 64, &log);
                if (rc == TK_OK) {
                    shared->winner = log.header->UniqueId;
                    shared->winners.fetch_add(1);
                } else {
                    CHECK_EQ(rc, TK_E_EXISTS);
                    shared->losers.fetch_add(1);
                }
                if (!eventually([&] { return shared->finish.load() != 0; })) _exit(9);  // stay alive
            });
        REQUIRE(eventually([&] { return shared->ready.load() == 4; }));
        shared->go = 1;
        CHECK(eventually([&] { return shared->winners.load() + shared->losers.load() == 4; }));
        CHECK_EQ(shared->winners.load(), 1);
        tk::Log there;
        if (tk::attach_log(path.c_str(), &there) == TK_OK) {
            CHECK_EQ(there.header->UniqueId, shared->winner.load());
        } else {
            CHECK(false && "the winner's file is not there");
        }
        shared->finish = 1;
        for (const pid_t child : children) CHECK(ended_well(wait_child(child)));
    }
    munmap(shared, sizeof(Shared));
}

TEST(no_room_leaves_no_file) {
    check::Directory d;
    rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    rlimit small{65536, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    tk::Log log;
    const std::int32_t rc = tk::create_log(d.file("log").c_str(), "main", 4096, 16, &log);
    const std::string text = tk_last_error();
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    CHECK_EQ(rc, TK_E_SYS);
    CHECK(text.find("cannot reserve") != std::string::npos);
    CHECK(!exists(d.file("log")));
}
