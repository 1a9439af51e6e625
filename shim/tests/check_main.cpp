#include <fcntl.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "check.hpp"

namespace {

std::atomic<std::uint32_t> g_failures{0};
constexpr std::uint32_t kPrinted = 12;     // of one test; the rest is only counted
constexpr unsigned kDeadlineSeconds = 300;  // a hang, not slowness
char g_running[256];

void say(const char* what) {
    (void)!write(2, what, std::strlen(what));
    (void)!write(2, g_running, std::strlen(g_running));
    (void)!write(2, "\n", 1);
}

void on_deadline(int) {
    say("HANGS: ");
    _exit(3);
}

void on_crash(int signal) {
    say("CRASHES: ");
    std::signal(signal, SIG_DFL);
    raise(signal);
}

// A sanitizer has handlers of its own that tell more.
void name_the_test_in_a_crash() {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) {
        const auto before = std::signal(signal, on_crash);
        if (before != SIG_DFL) std::signal(signal, before);
    }
}

const char* base_name(const char* path) {
    const char* slash = std::strrchr(path, '/');
    return slash == nullptr ? path : slash + 1;
}

bool contains(const check::Test& test, const std::vector<std::string>& parts) {
    const std::string full = std::string(base_name(test.file)) + " " + test.name;
    for (const std::string& part : parts)
        if (full.find(part) != std::string::npos) return true;
    return false;
}

}  // namespace

namespace check {

void failed(const char* file, int line, const std::string& text) {
    const std::uint32_t n = g_failures.fetch_add(1);
    if (n < kPrinted) {
        std::string out = std::string("  ") + base_name(file) + ":" + std::to_string(line) + ": " + text + "\n";
        (void)!write(2, out.data(), out.size());
    }
}

std::uint32_t failures() { return g_failures.load(); }

}  // namespace check

int main(int argc, char** argv) {
    std::vector<std::string> wanted, unwanted;
    bool list = false;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--list") == 0) {
            list = true;
        } else if (std::strcmp(argv[i], "--skip") == 0 && i + 1 < argc) {
            unwanted.push_back(argv[++i]);
        } else {
            wanted.push_back(argv[i]);
        }
    }
    std::signal(SIGALRM, on_deadline);
    name_the_test_in_a_crash();
    std::uint32_t passed = 0, failed = 0, skipped = 0;
    for (const check::Test& test : check::tests()) {
        if ((!wanted.empty() && !contains(test, wanted)) || contains(test, unwanted)) continue;
        if (list) {
            std::printf("%s %s\n", base_name(test.file), test.name);
            continue;
        }
        std::snprintf(g_running, sizeof g_running, "%s %s", base_name(test.file), test.name);
        g_failures = 0;
        alarm(kDeadlineSeconds);
        const auto start = std::chrono::steady_clock::now();
        std::string why;
        try {
            test.run();
        } catch (const check::Abandon&) {
        } catch (const check::Skip& s) {
            why = s.why;
        } catch (const std::exception& e) {
            check::failed(test.file, 0, std::string("exception: ") + e.what());
        }
        alarm(0);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        const std::uint32_t bad = g_failures;
        if (bad != 0) {
            ++failed;
            std::printf("FAILED  %s (%u checks)\n", g_running, bad);
        } else if (!why.empty()) {
            ++skipped;
            std::printf("skipped %s: %s\n", g_running, why.c_str());
        } else {
            ++passed;
            if (seconds > 1) std::printf("passed  %s (%.1f s)\n", g_running, seconds);
        }
        std::fflush(stdout);
    }
    if (list) return 0;
    std::printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    if (passed + failed + skipped == 0) {
        std::printf("no test has such a name\n");
        return 2;
    }
    return failed == 0 ? 0 : 1;
}
