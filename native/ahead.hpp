// What the next step will read, asked for while a product runs.
#pragma once

#include <algorithm>
#include <cstdint>

namespace steploom {

// Memory that the next step will read, brought nearer while a product keeps the multipliers busy, a little at each k. The
// hardware does not guess it: a step reads a little from many places, and the backward pass reads them from the end.
// Always inline: builds for several instruction sets share it.
class Ahead {
  public:
    static constexpr int most = 32;     // places
    static constexpr int stretch = 64;  // k between two looks at where to go on

    [[gnu::always_inline]] void clear() { count_ = 0, total_ = 0; }
    [[gnu::always_inline]] void add(const void* data, std::int64_t size) {
        if (count_ == most || size <= 0) return;
        at_[count_] = static_cast<const char*>(data);
        bytes_[count_++] = size;
        total_ += size;
    }
    [[gnu::always_inline]] bool empty() const { return count_ == 0; }
    // Deals everything out to that many k.
    [[gnu::always_inline]] void start(std::int64_t steps) { place_ = 0, offset_ = 0, step_ = std::max<std::int64_t>(total_ / std::max<std::int64_t>(1, steps) + 1, 8); }
    [[gnu::always_inline]] std::int64_t step() const { return step_; }
    // From where on the next k ask, each `step` bytes further.
    [[gnu::always_inline]] const char* next(std::int64_t steps) {
        if (place_ == count_) return at_[count_ - 1];
        const char* const from = at_[place_] + offset_;
        offset_ += step_ * steps;
        if (offset_ >= bytes_[place_]) offset_ = 0, ++place_;
        return from;
    }

  private:
    const char* at_[most];
    std::int64_t bytes_[most];
    int count_ = 0, place_ = 0;
    std::int64_t offset_ = 0, total_ = 0, step_ = 8;
};

}  // namespace steploom
