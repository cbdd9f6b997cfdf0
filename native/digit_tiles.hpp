// The tiles of a thread, and products of digits on them: see digits.hpp.
#pragma once

#include "digit_split.hpp"

namespace steploom::amx {

// The compiler is not told that the instructions below read and write all that stands at their addresses.
inline void settle_memory(const void* at) { asm volatile("" : : "r"(at) : "memory"); }

struct alignas(64) TileConfig {
    std::uint8_t palette = 0, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
};

// The tiles of this thread as the products below use them, and as they were before once these are done.
class Tiles {
  public:
    explicit Tiles(int rows) {
        settle_memory(&before_);
        _tile_storeconfig(&before_);
        settle_memory(&before_);
        TileConfig config;
        config.palette = 1;
        for (int i = 0; i < 8; ++i) config.row_bytes[i] = 64, config.rows[i] = static_cast<std::uint8_t>(i < 6 ? rows : tile_rows);
        settle_memory(&config);
        _tile_loadconfig(&config);
    }
    ~Tiles() {
        settle_memory(&before_);
        if (before_.palette) _tile_loadconfig(&before_);
        else _tile_release();
    }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;

  private:
    TileConfig before_;
};

// Asks for bytes that are read soon. There may be nothing.
inline void prefetch(std::uintptr_t at, Index bytes) {
    for (Index byte = 0; byte < bytes; byte += 64) _mm_prefetch(reinterpret_cast<const char*>(at + static_cast<std::uintptr_t>(byte)), _MM_HINT_T1);
}

// One tile of sums a power of 256: what `chunks` chunks of both sides give.
// `soon`: what the next product will read of the right side, where that comes from far; else 0.
inline void multiply(const std::int8_t* left, const std::int8_t* right, Index chunks, std::int32_t* sums, std::uintptr_t soon) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    for (Index k = 0; k < chunks; ++k, left += chunk_bytes, right += chunk_bytes) {
        _tile_loadd(3, left, 64);
        _tile_loadd(6, right, 64);
        _tile_dpbssd(0, 3, 6);
        _tile_loadd(4, left + tile_bytes, 64);
        _tile_dpbssd(1, 4, 6);
        _tile_loadd(5, left + 2 * tile_bytes, 64);
        _tile_dpbssd(2, 5, 6);
        _tile_loadd(7, right + tile_bytes, 64);
        _tile_dpbssd(1, 3, 7);
        _tile_dpbssd(2, 4, 7);
        _tile_loadd(6, right + 2 * tile_bytes, 64);
        _tile_dpbssd(2, 3, 6);
        if (!soon) continue;
        prefetch(soon, chunk_bytes);
        soon += chunk_bytes;
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + 256, 64);
    _tile_stored(2, sums + 512, 64);
}

// Sums of digits as numbers, added to `init`.
inline void finish(const std::int32_t* sums, int rows, const Scale* row_scales, const float* column_sizes, int columns,
                   const float* init, Index init_row, float* out, Index out_row) {
    const __m512 sizes = _mm512_loadu_ps(column_sizes), power = _mm512_set1_ps(1.0f / 256);
    constexpr float room = 1024;
    const __mmask16 mask = first_lanes(columns);
    for (int i = 0; i < rows; ++i) {
        const auto sum = [&](int tile) { return _mm512_cvtepi32_ps(_mm512_load_si512(sums + tile * 256 + i * 16)); };
        const __m512 value = _mm512_fmadd_ps(_mm512_fmadd_ps(sum(2), power, sum(1)), power, sum(0));
        // A first digit of 127 stands for the size. Made smaller by `room` until the end: what comes between is never too large.
        const __m512 scaled = _mm512_mul_ps(value, _mm512_set1_ps(row_scales[i].size * (1 / (127 * 127 * room))));
        const __m512 from = init ? _mm512_maskz_loadu_ps(mask, init + i * init_row) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(out + i * out_row, mask, _mm512_fmadd_ps(_mm512_mul_ps(scaled, sizes), _mm512_set1_ps(room), from));
    }
}

}  // namespace steploom::amx
