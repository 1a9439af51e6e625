// Shared files: made exclusively, reserved, mapped; attached only after their geometry is proven.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "layout.hpp"
#include "system.hpp"

namespace tk {

// A mapping that unmaps itself.
class Mapping {
public:
    Mapping() = default;
    Mapping(void* base, std::size_t size) : base_(base), size_(size) {}
    Mapping(void* base, std::size_t size, const struct stat& file)
        : base_(base), size_(size), device_(file.st_dev), inode_(file.st_ino) {}
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    Mapping(Mapping&& other) noexcept { swap(other); }
    Mapping& operator=(Mapping&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Mapping();
    char* base() const { return static_cast<char*>(base_); }
    std::size_t size() const { return size_; }
    // While it is mapped no other file gets its number.
    bool is_of(const struct stat& file) const { return file.st_dev == device_ && file.st_ino == inode_; }

private:
    void swap(Mapping& other) {
        std::swap(base_, other.base_);
        std::swap(size_, other.size_);
        std::swap(device_, other.device_);
        std::swap(inode_, other.inode_);
    }
    void* base_ = nullptr;
    std::size_t size_ = 0;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

// New file, 0600, O_EXCL, `size` bytes reserved (ENOSPC now, not SIGBUS later), mapped and touched.
// It is flocked until the caller unlocks *lock, so that nobody takes it for a dead process's file before
// it is complete; TK_E_BUSY when somebody did so before the lock was had.
std::int32_t create_file(const char* path, std::size_t size, Mapping* out, int* lock);
// Existing regular file of this user, mode without group or other access, without holes, and with a header of
// header_size bytes, of which *header becomes a copy. What is looked at before the file is known to be whole is
// read, not looked at in the mapping.
std::int32_t attach_file(const char* path, void* header, std::size_t header_size, Descriptor* fd, Mapping* out);

// No log comes so far: a million ticks a second for 146,000 years. A greater Head was not written by a writer,
// and sums with it could overflow.
constexpr std::uint64_t kMaxHead = 1ull << 62;

struct Log {
    Mapping mapping;
    std::string path;
    LogHeader* header = nullptr;
    ReaderSlot* readers = nullptr;
    InstrumentEntry* instruments = nullptr;
    Record* saved = nullptr;  // last values whose slot in the ring has been overwritten
    Record* records = nullptr;
    std::uint64_t capacity = 0;
    std::uint64_t mask = 0;
    std::uint64_t instrument_capacity = 0;

    Record* slot(std::uint64_t sequence) const { return records + (sequence & mask); }
    // A record may be overwritten from the moment head reaches sequence + capacity.
    std::uint64_t oldest(std::uint64_t head) const { return head < capacity ? 0 : head - capacity + 1; }
    // What stands in the segment may be anybody's bytes, at any time: an index from it is used only in bounds.
    std::uint32_t instrument_count() const {
        // SYNC instrument (acquire): partner is the release in InstrumentIndex::insert().
        const std::uint32_t count = header->InstrumentCount.load(std::memory_order_acquire);
        return count < instrument_capacity ? count : static_cast<std::uint32_t>(instrument_capacity);
    }
    // The first entry with the same InstrumentID, which never comes later: else the entry counts for itself.
    std::uint32_t primary_of(std::uint32_t entry) const {
        const std::uint32_t primary = instruments[entry].Primary;
        return primary <= entry ? primary : entry;
    }
    bool owner_alive() const;
    bool writer_alive() const;
};

// Removes what a process that died while making a segment left: a file without magic that nobody locks.
// Anything else is left alone, and TK_OK too.
std::int32_t remove_unfinished(const char* path);

std::int32_t create_log(const char* path, const char* name, std::uint64_t capacity,
                        std::uint64_t instruments, Log* out);
std::int32_t attach_log(const char* path, Log* out);
std::int32_t unlink_log(const Log& log);

struct Queue {
    Mapping mapping;
    std::string path;
    QueueHeader* header = nullptr;
    QueueFilter* filters = nullptr;
    std::uint32_t filter_count = 0;
    bool filtered = false;
};

std::int32_t create_queue(const char* path, const char* name, const char* const* ids,
                          std::uint32_t count, std::int64_t start, bool events, std::uint32_t wait_mode,
                          Queue* out, std::uint32_t skip = 0);
std::int32_t attach_queue(const char* path, Queue* out);

}  // namespace tk
