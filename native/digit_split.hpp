// Rows and columns of float32 numbers as digits, in tiles: see digits.hpp.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "pack.hpp"

namespace steploom::amx {

using Index = std::int64_t;

// A tile has up to 16 rows of 64 bytes. Of the left side a row is 64 digits of a row; of the right side 4 digits of each of
// 16 columns, so that a tile holds the same 64 digits of each of them.
constexpr int tile_rows = 16, chunk = 64, tile_bytes = 1024, chunk_bytes = 3 * tile_bytes;

constexpr float largest_whole = 127.0f * 65536;  // its first digit is 127, and never 128 after rounding
constexpr float smallest = 1e-30f;  // numbers of which none is larger count as 0: to scale them would take too large ones
constexpr int infinite = 0x7f800000;

// Absolute values as bits: as whole numbers they stand in the same order, and infinity and NaN above all others.
inline __m512i absolute_bits(__m512 x) { return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)); }

// Numbers times `to_digits` are whole ones; `size` is the largest of them, NaN where they are not finite.
struct Scale {
    float to_digits, size;
    bool finite() const { return size == size; }
};
// Of numbers whose largest absolute value has these bits.
inline Scale scale_of(int bits) {
    if (bits >= infinite) return {0, std::numeric_limits<float>::quiet_NaN()};
    float size;
    std::memcpy(&size, &bits, sizeof size);
    if (size < smallest) return {0, 0};
    return {largest_whole / size, size};
}

// Whole numbers whose first three bytes are the digits.
inline __m512i bytes_of(__m512 x, __m512 scale, __mmask16 finite) {
    const __m512i whole = _mm512_maskz_cvtps_epi32(finite, _mm512_mul_ps(x, scale)), middle = _mm512_set1_epi32(0x808080);
    return _mm512_xor_si512(_mm512_add_epi32(whole, middle), middle);
}

inline __mmask16 first_lanes(Index count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// Numbers k to k + 15 of a row of `count`, times their factors where there are such; 0 behind the last.
inline __m512 load_along(const float* from, const float* by, Index k, Index count) {
    const __mmask16 mask = first_lanes(count - k);
    const __m512 x = _mm512_maskz_loadu_ps(mask, from + k);
    return by ? _mm512_mul_ps(x, _mm512_maskz_loadu_ps(mask, by + k)) : x;
}

// The bits of the largest absolute value of a row.
inline int largest_bits(const float* from, const float* by, Index count) {
    __m512i bits = _mm512_setzero_si512();
    for (Index k = 0; k < count; k += 16) bits = _mm512_max_epi32(bits, absolute_bits(load_along(from, by, k, count)));
    return _mm512_reduce_max_epi32(bits);
}

// Digits stand in a tile by fours, those of numbers 4 q to 4 q + 3 at this place of the row, or in this row.
constexpr int place_of_four(int q) { return q % 4 * 4 + q / 4; }

// Rows of the left side, times `by` where there is such: each row of a tile holds 64 digits of one of them. Gives the rows
// that hold infinity and no NaN, as bits.
inline unsigned split_along(const float* from, Index row, int rows, Index inner, const float* by, std::int8_t* tiles,
                            Scale* scales) {
    // The bytes of four numbers by their power: the first of all four, then the second, then the third.
    const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(2, 6, 10, 14, 1, 5, 9, 13, 0, 4, 8, 12, 3, 7, 11, 15));
    unsigned infinite_rows = 0;
    for (int i = 0; i < rows; ++i, from += row, tiles += 64) {
        const int most = largest_bits(from, by, inner);
        scales[i] = scale_of(most);
        if (most == infinite) infinite_rows |= 1u << i;
        const __m512 scale = _mm512_set1_ps(scales[i].to_digits);
        const __mmask16 finite = scales[i].finite() ? 0xffff : 0;
        std::int8_t* to = tiles;
        for (Index k = 0; k < inner; k += chunk, to += chunk_bytes) {
            __m512i v[4];
            for (int j = 0; j < 4; ++j) v[j] = _mm512_shuffle_epi8(bytes_of(load_along(from, by, k + 16 * j, inner), scale, finite), order);
            const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpacklo_epi32(v[2], v[3]);
            const __m512i c = _mm512_unpackhi_epi32(v[0], v[1]), d = _mm512_unpackhi_epi32(v[2], v[3]);
            _mm512_store_si512(to, _mm512_unpacklo_epi64(a, b));
            _mm512_store_si512(to + tile_bytes, _mm512_unpackhi_epi64(a, b));
            _mm512_store_si512(to + 2 * tile_bytes, _mm512_unpacklo_epi64(c, d));
        }
    }
    return infinite_rows;
}

// The scales of up to 16 columns, side by side.
struct ColumnScales {
    __m512 to_digits;
    __mmask16 finite = 0;
    explicit ColumnScales(const Scale* scales, int columns) {
        alignas(64) float each[16] = {};
        for (int i = 0; i < columns; ++i) each[i] = scales[i].to_digits, finite |= static_cast<__mmask16>(scales[i].finite() << i);
        to_digits = _mm512_load_ps(each);
    }
};

// 16 numbers `step` apart, of which the mask says which are there.
inline __m512 load_lanes(const float* from, Index step, __mmask16 mask) {
    if (step == 1) return _mm512_maskz_loadu_ps(mask, from);
    alignas(64) float each[16] = {};
    for (int i = 0; i < 16; ++i)
        if (mask >> i & 1) each[i] = from[i * step];
    return _mm512_load_ps(each);
}

// Number k of up to 16 columns, times its factor.
inline __m512 load_numbers(const float* from, Index column, Index step, Index k, const float* by, __mmask16 mask) {
    const __m512 x = load_lanes(from + k * step, column, mask);
    return by ? _mm512_mul_ps(x, _mm512_set1_ps(by[k])) : x;
}

// Asks for a row that is read soon, so many numbers further on. There may be none.
inline void prefetch_row(const float* from, Index further) {
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(from) + static_cast<std::uintptr_t>(further) * sizeof(float);
    _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0);
}

// The right side, up to 16 columns: each row of a tile holds 4 digits of all of them. The columns are `column` apart, the
// numbers of a column `step`.
inline void split_across(const float* from, Index column, Index step, int columns, Index inner, const float* by,
                         std::int8_t* tiles, const ColumnScales& scales) {
    const __mmask16 mask = first_lanes(columns);
    const __m512i low = _mm512_set1_epi16(0x00ff);
    for (Index k = 0; k < inner; k += chunk, tiles += chunk_bytes)
        for (int q = 0; q < 16; ++q) {
            __m512i v[4];
            for (int j = 0; j < 4; ++j) {
                const Index at = k + 4 * q + j;
                v[j] = at < inner ? bytes_of(load_numbers(from, column, step, at, by, mask), scales.to_digits, scales.finite) : _mm512_setzero_si512();
                prefetch_row(from, (at + 32) * step);
            }
            // Bytes of two numbers side by side, the first and third or the second; then those of four.
            constexpr int choose = 0xca;  // the second where the first is 1, else the third
            const auto outer_bytes = [&](int i) { return _mm512_ternarylogic_epi32(low, v[i], _mm512_slli_epi16(v[i + 1], 8), choose); };
            const auto inner_bytes = [&](int i) { return _mm512_ternarylogic_epi32(low, _mm512_srli_epi16(v[i], 8), v[i + 1], choose); };
            const __m512i a = outer_bytes(0), b = outer_bytes(2), c = inner_bytes(0), d = inner_bytes(2);
            constexpr __mmask32 upper = 0xaaaaaaaa;
            std::int8_t* const to = tiles + place_of_four(q) * 64;
            _mm512_store_si512(to, _mm512_mask_blend_epi16(upper, _mm512_srli_epi32(a, 16), b));
            _mm512_store_si512(to + tile_bytes, _mm512_mask_blend_epi16(upper, c, _mm512_slli_epi32(d, 16)));
            _mm512_store_si512(to + 2 * tile_bytes, _mm512_mask_blend_epi16(upper, a, _mm512_slli_epi32(b, 16)));
        }
}

// A tile of the left side for one of the right side, and the other way round.
inline void turn_tiles(std::int8_t* tiles, Index count) {
    for (Index i = 0; i < count; ++i, tiles += tile_bytes) {
        __m512 rows[16];
        for (int r = 0; r < 16; ++r) rows[r] = _mm512_load_ps(tiles + r * 64);
        transpose<float>(reinterpret_cast<V<float>*>(rows));
        for (int r = 0; r < 16; ++r) _mm512_store_ps(tiles + r * 64, rows[r]);
    }
}

// The scales of columns whose numbers are `step` apart.
inline void scales_of_columns(const float* from, Index column, Index step, int columns, Index inner, const float* by,
                              Scale* scales) {
    constexpr int wide = 4;
    for (int first = 0; first < columns; first += 16 * wide) {
        __m512i bits[wide] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
        for (Index k = 0; k < inner; ++k) {
            const float* const at = from + k * step + first * column;
            for (int j = 0; j < wide; ++j) {
                const __mmask16 mask = first_lanes(columns - first - 16 * j);
                prefetch_row(at, 16 * step + 16 * j);
                const __m512 x = load_numbers(from + (first + 16 * j) * column, column, step, k, by, mask);
                bits[j] = _mm512_max_epi32(bits[j], absolute_bits(x));
            }
        }
        alignas(64) int each[16 * wide];
        for (int j = 0; j < wide; ++j) _mm512_store_si512(each + 16 * j, bits[j]);
        for (int i = first; i < std::min(columns, first + 16 * wide); ++i) scales[i] = scale_of(each[i - first]);
    }
}

}  // namespace steploom::amx
