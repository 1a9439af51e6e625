// What all targets share: the input read from its front, and what a target says when a promise is broken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

// Zeros when it is used up, so that every input means something.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}
    bool empty() const { return left_ == 0; }
    std::size_t left() const { return left_; }
    void take(void* to, std::size_t size) {
        const std::size_t n = size < left_ ? size : left_;
        if (n != 0) std::memcpy(to, at_, n);
        std::memset(static_cast<char*>(to) + n, 0, size - n);
        at_ += n;
        left_ -= n;
    }
    template <typename T>
    T number() {
        T value;
        take(&value, sizeof value);
        return value;
    }
    std::uint8_t byte() { return number<std::uint8_t>(); }

private:
    const std::uint8_t* at_;
    std::size_t left_;
};

// A buffer of exactly this size: what is read behind it is found.
class Exact {
public:
    explicit Exact(std::size_t size) : bytes_(static_cast<char*>(std::calloc(1, size))) {
        if (bytes_ == nullptr) std::abort();
    }
    Exact(const Exact&) = delete;
    Exact& operator=(const Exact&) = delete;
    ~Exact() { std::free(bytes_); }
    char* get() const { return bytes_; }

private:
    char* bytes_;
};

#define PROMISE(condition)                                                                   \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            std::fprintf(stderr, "%s:%d: promise broken: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                    \
        }                                                                                    \
    } while (0)

}  // namespace fuzz
