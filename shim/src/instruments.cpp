#include "instruments.hpp"

#include <cstring>

namespace tk {
namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Over the first 31 bytes of the id, which every layout has; text behind the NUL is zeros in what the
// vendor sends, and find_slowly() puts it right where it is not.
std::uint64_t hash_id(const char* id) {
    const std::uint64_t w3 = load8(id + 24) & 0x00FFFFFFFFFFFFFFull;
    return mix(load8(id) ^ 0x9E3779B97F4A7C15ull, load8(id + 8) ^ 0xBF58476D1CE4E5B9ull) ^
           mix(load8(id + 16) ^ 0x94D049BB133111EBull, w3 ^ 0xD6E8FEB86659FD93ull);
}

// Text up to its NUL or the array's end, the rest zeros, always terminated.
template <std::size_t N>
void take_text(char (&to)[N], const char* from, std::size_t from_size) {
    std::size_t n = strnlen(from, from_size < N - 1 ? from_size : N - 1);
    std::memset(to, 0, N);
    std::memcpy(to, from, n);
}

}  // namespace

void InstrumentIndex::open(Log* log) {
    log_ = log;
    std::uint64_t size = 64;
    while (size < log->instrument_capacity * 2) size *= 2;
    buckets_.assign(size, 0);
    follows_.assign(log->instrument_capacity, 0);
    last_ = 0;
    bucket_mask_ = size - 1;
    count_ = log->instrument_count();
    for (std::uint32_t i = 0; i < count_; ++i) {
        std::uint64_t b = hash_id(log->instruments[i].InstrumentID) & bucket_mask_;
        while (buckets_[b] != 0) b = (b + 1) & bucket_mask_;
        buckets_[b] = i + 1;
    }
}

std::uint32_t InstrumentIndex::find_hashed(const DepthLayout& layout, const char* depth) {
    std::uint32_t index = kNoInstrument;
    for (std::uint64_t b = hash_id(depth + layout.instrument_id) & bucket_mask_; buckets_[b] != 0 && index == kNoInstrument;
         b = (b + 1) & bucket_mask_)
        if (is(buckets_[b] - 1, layout, depth)) index = buckets_[b] - 1;
    if (index == kNoInstrument) index = find_slowly(layout, depth);
    if (index != kNoInstrument) {
        follows_[last_] = index;
        last_ = index;
    }
    return index;
}

std::uint32_t InstrumentIndex::find_id(const char* id, std::size_t length) const {
    char text[kInstrumentIdSize];
    take_text(text, id, length);
    for (std::uint64_t b = hash_id(text) & bucket_mask_; buckets_[b] != 0; b = (b + 1) & bucket_mask_) {
        const InstrumentEntry& e = log_->instruments[buckets_[b] - 1];
        if (std::memcmp(e.InstrumentID, text, sizeof text) == 0) return log_->primary_of(buckets_[b] - 1);
    }
    return kNoInstrument;
}

std::uint32_t InstrumentIndex::find_slowly(const DepthLayout& layout, const char* depth) {
    InstrumentEntry wanted{};
    take_text(wanted.InstrumentID, depth + layout.instrument_id, layout.instrument_id_size);
    take_text(wanted.ExchangeInstID, depth + layout.exchange_inst_id, layout.exchange_inst_id_size);
    take_text(wanted.ExchangeID, depth + depth::kExchangeID, sizeof wanted.ExchangeID);
    const std::uint32_t index = enter(wanted);
    if (index == kNoInstrument) log_->header->InstrumentOverflow.fetch_add(1, std::memory_order_relaxed);
    return index;
}

std::uint32_t InstrumentIndex::enter(InstrumentEntry& wanted) {
    const std::uint64_t hash = hash_id(wanted.InstrumentID);
    wanted.Primary = count_;
    for (std::uint64_t b = hash & bucket_mask_; buckets_[b] != 0; b = (b + 1) & bucket_mask_) {
        const InstrumentEntry& e = log_->instruments[buckets_[b] - 1];
        if (std::memcmp(e.InstrumentID, wanted.InstrumentID, sizeof e.InstrumentID) != 0) continue;
        wanted.Primary = log_->primary_of(buckets_[b] - 1);
        if (std::memcmp(e.ExchangeInstID, wanted.ExchangeInstID, sizeof e.ExchangeInstID) == 0 &&
            std::memcmp(e.ExchangeID, wanted.ExchangeID, sizeof e.ExchangeID) == 0)
            return buckets_[b] - 1;
    }
    return insert(wanted, hash);
}

std::uint32_t InstrumentIndex::insert(const InstrumentEntry& wanted, std::uint64_t hash) {
    if (count_ >= log_->instrument_capacity) return kNoInstrument;
    InstrumentEntry& e = log_->instruments[count_];
    std::memcpy(e.InstrumentID, wanted.InstrumentID, sizeof e.InstrumentID);
    std::memcpy(e.ExchangeInstID, wanted.ExchangeInstID, sizeof e.ExchangeInstID);
    std::memcpy(e.ExchangeID, wanted.ExchangeID, sizeof e.ExchangeID);
    e.Primary = wanted.Primary;
    // Until a reader has looked at the name it counts as wanting it; a reader that does not clears
    // its own bit, so the vendor's thread compares no names.
    for (auto& word : e.Want) word.store(~0ull, std::memory_order_relaxed);
    std::uint64_t b = hash & bucket_mask_;
    while (buckets_[b] != 0) b = (b + 1) & bucket_mask_;
    buckets_[b] = count_ + 1;
    // SYNC instrument (release): the entry's texts are complete. Partner: the acquire of
    // InstrumentCount wherever an entry is looked at.
    log_->header->InstrumentCount.store(++count_, std::memory_order_release);
    return count_ - 1;
}

}  // namespace tk
