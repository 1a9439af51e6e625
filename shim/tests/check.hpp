// The test frame: tests are sentences, checks print file, line and values, every test has a deadline.
//
//   TEST(a_reader_sees_ticks_in_order) { CHECK_EQ(take(reader).count, 3u); }
//
// CHECK goes on after a failure (any thread may use it); REQUIRE ends the test (its own thread only).
// check_main.cpp has main(): shim_tests [--list] [--skip PART]... [PART]...
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace check {

struct Test {
    const char* file;
    const char* name;
    void (*run)();
};

inline std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}

struct Register {
    Register(const char* file, const char* name, void (*run)()) { tests().push_back({file, name, run}); }
};

struct Abandon {};  // thrown by REQUIRE
struct Skip {
    std::string why;
};

// Counts and prints; safe from any thread and from a forked child (whose count goes to its exit status).
void failed(const char* file, int line, const std::string& text);
std::uint32_t failures();

template <typename T>
std::string show(const T& value) {
    std::ostringstream out;
    if constexpr (std::is_enum_v<T>) {
        out << static_cast<long long>(value);
    } else if constexpr (sizeof(T) == 1 && std::is_integral_v<T>) {
        out << static_cast<int>(value);
    } else {
        out.precision(17);
        out << value;
    }
    return out.str();
}

template <typename A, typename B>
bool equal(const char* file, int line, const char* a_text, const char* b_text, const A& a, const B& b) {
    bool same;
    if constexpr (std::is_integral_v<A> && std::is_integral_v<B>) {
        using Common = std::common_type_t<A, B>;
        same = static_cast<Common>(a) == static_cast<Common>(b) && (a < A{}) == (b < B{});
    } else {
        same = a == b;
    }
    if (!same) failed(file, line, std::string(a_text) + " == " + b_text + ": " + show(a) + " is not " + show(b));
    return same;
}

#define TEST(name)                                                      \
    static void name();                                                 \
    static const check::Register register_##name(__FILE__, #name, name); \
    static void name()

#define CHECK(condition)                                                \
    do {                                                                \
        if (!(condition)) check::failed(__FILE__, __LINE__, #condition); \
    } while (0)

#define CHECK_EQ(a, b) check::equal(__FILE__, __LINE__, #a, #b, (a), (b))

#define REQUIRE(condition)                                    \
    do {                                                      \
        if (!(condition)) {                                   \
            check::failed(__FILE__, __LINE__, #condition);    \
            throw check::Abandon{};                           \
        }                                                     \
    } while (0)

// A fresh directory, gone with the object. run.sh removes what a crash leaves behind.
class Directory {
public:
    Directory() {
        const char* base = std::getenv("TICKSHIM_TEST_DIR");
        if (base == nullptr) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        path_ = std::string(base) + "/tickshim-test-XXXXXX";
        if (mkdtemp(path_.data()) == nullptr) throw Skip{"no directory can be made in " + std::string(base)};
        owner_ = getpid();
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() {
        if (getpid() != owner_) return;  // a forked child has a copy of this object
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    const std::string& path() const { return path_; }

private:
    std::string path_;
    pid_t owner_ = 0;
};

// Numbers that can be had again: splitmix64 from a seed that a failure prints.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t n) { return next() % n; }

private:
    std::uint64_t state_;
};

}  // namespace check
