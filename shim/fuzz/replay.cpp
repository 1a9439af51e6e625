// Runs a target over files and directories of inputs, without libFuzzer: any compiler replays the corpus.
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "input.hpp"

namespace {

const char* g_current = "";

void name_it() {
    for (const char* part : {"\nthe input is ", g_current, "\n"})
        if (write(STDERR_FILENO, part, std::strlen(part)) < 0) return;
}

void name_it_and_end(int signal) {
    name_it();
    _exit(128 + signal);
}

}  // namespace

int main(int count, char** arguments) {
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < count; ++i) {
        if (!std::filesystem::is_directory(arguments[i])) {
            files.emplace_back(arguments[i]);
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(arguments[i])) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    if (files.empty()) {
        std::fprintf(stderr, "usage: %s FILE|DIRECTORY...: no input was found\n", arguments[0]);
        return 2;
    }
    __sanitizer_set_death_callback(name_it);
    signal(SIGABRT, name_it_and_end);  // a broken promise
    signal(SIGALRM, name_it_and_end);
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        if (in.bad() || !in.is_open()) {
            std::fprintf(stderr, "%s cannot be read\n", file.c_str());
            return 2;
        }
        g_current = file.c_str();
        alarm(60);  // a hang
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    std::printf("%s: %zu inputs\n", std::filesystem::path(arguments[0]).filename().c_str(), files.size());
    return 0;
}
