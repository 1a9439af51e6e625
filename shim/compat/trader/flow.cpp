#include "flow.hpp"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <system_error>

#include "ftd.hpp"

namespace compat::trader {

namespace {

constexpr std::size_t kFileSize = 6;
constexpr long kSecondsOfDay = 24 * 60 * 60;
constexpr long kFirstDay = 3652;  // 1980-01-01, in days since 1970-01-01

}  // namespace

FlowFile::~FlowFile() {
    if (fd_ >= 0) close(fd_);
}

void FlowFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), path);
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
    path_ = path;
    std::uint8_t bytes[kFileSize];
    // A file that is too short was being made when its process ended: nothing had been taken.
    const bool whole = pread(fd_, bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes);
    day_ = whole ? read_u16(bytes) : 0;
    count_ = whole ? read_u32(bytes + 2) : 0;
    if (!whole) store(0, 0);
}

void FlowFile::store(std::uint16_t day, std::uint32_t count) {
    day_ = day;
    count_ = count;
    if (fd_ < 0) return;
    std::uint8_t bytes[kFileSize];
    write_u16(bytes, day);
    write_u32(bytes + 2, count);
    if (pwrite(fd_, bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes) || said_) return;
    said_ = true;
    std::fprintf(stderr, "%s: not written: %s\n", path_.c_str(), std::strerror(errno));
}

std::uint16_t number_of_day(const char* day) {
    if (::strnlen(day, 9) != 8 || std::strspn(day, "0123456789") != 8) return 0;
    const auto digits = [day](int from, int count) {
        int v = 0;
        for (int i = from; i < from + count; ++i) v = v * 10 + (day[i] - '0');
        return v;
    };
    tm t = {};
    t.tm_year = digits(0, 4) - 1900;
    t.tm_mon = digits(4, 2) - 1;
    t.tm_mday = digits(6, 2);
    const long number = timegm(&t) / kSecondsOfDay - kFirstDay + 1;
    return number > 0 && number <= 0xffff ? static_cast<std::uint16_t>(number) : 0;
}

void day_of_number(std::uint16_t number, char (&day)[9]) {
    std::memcpy(day, "19800100", sizeof day);
    if (number == 0) return;
    const time_t seconds = (number - 1 + kFirstDay) * kSecondsOfDay;
    tm t;
    if (gmtime_r(&seconds, &t) == nullptr) return;
    strftime(day, sizeof day, "%Y%m%d", &t);
}

}  // namespace compat::trader
