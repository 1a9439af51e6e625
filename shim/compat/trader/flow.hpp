// The .con files of a flow directory: what has been taken of each flow, kept over a restart.
#pragma once

#include <cstdint>
#include <string>

namespace compat::trader {

// Six bytes, big-endian: the trading day as a number of days, and a count. One owner; there is no lock, as with
// the vendor's library: one directory per account and process.
class FlowFile {
public:
    FlowFile() = default;
    ~FlowFile();
    FlowFile(const FlowFile&) = delete;
    FlowFile& operator=(const FlowFile&) = delete;

    // Makes the file when there is none; its numbers are 0 then. Throws std::system_error.
    void open(const std::string& path);
    bool is_open() const { return fd_ >= 0; }

    std::uint16_t day() const { return day_; }
    std::uint32_t count() const { return count_; }

    // Says on stderr, once, when it cannot be written; the numbers then only count until the end of the process.
    void store(std::uint16_t day, std::uint32_t count);

private:
    std::string path_;
    int fd_ = -1;
    std::uint16_t day_ = 0;
    std::uint32_t count_ = 0;
    bool said_ = false;
};

// "YYYYMMDD" as days since 1980-01-01, plus 1. 0 for what is no day.
std::uint16_t number_of_day(const char* day);
// The other way; 0 gives "19800100", as the vendor's library calls the day that it does not know.
void day_of_number(std::uint16_t number, char (&day)[9]);

}  // namespace compat::trader
