// Products of float32 numbers as exact products of bytes, for processors that multiply tiles of bytes (AMX).
//
// A row of numbers is scaled by its largest and rounded to whole numbers of 24 bits, of which each is three digits from
// -128 to 127 in base 256. Digits are multiplied and summed without error; of the nine products of digits the six largest
// are made. What is left out is as small as what was rounded: 2^-24 of the largest numbers of the two rows for each product,
// which is less than float32 loses when it adds them up. The scheme is that of Ozaki, Ogita, Oishi and Rump, "Error-free
// transformations of matrix multiplication by using fast routines of matrix multiplication and its applications" (2012),
// cut off where float32 ends.
#pragma once

#include <cstdint>

#include "ahead.hpp"

namespace steploom {

// Whether this processor multiplies tiles, and the system lets this process do it. Asks the system the first time.
bool have_tiles();

constexpr int digit_panel_columns = 32;

// Rows are multiplied in tiles of up to 16; how high they are is how much is gained.
constexpr std::int64_t digit_tiles(std::int64_t rows) { return (rows + 15) / 16; }
constexpr std::int64_t digit_tile_height(std::int64_t rows) {
    return rows ? (rows + digit_tiles(rows) - 1) / digit_tiles(rows) : 0;
}

// Floats that a panel of packed digits takes: three bytes a weight, and a scale for each column.
constexpr std::int64_t digit_panel_size(std::int64_t inner) { return (inner + 63) / 64 * 64 * 24 + 32; }

// As `pack` of pack.hpp: panels [first, last) of a matrix (columns x inner), as digits.
void pack_digits(const float* matrix, std::int64_t column_stride, std::int64_t inner_stride, int columns, int inner,
                 float* panels, int first, int last);

struct DigitFactor {
    const float* left;      // rows
    std::int64_t left_row;  // distance between rows; the K values of a row are neighbours
    const float* panels;    // of `pack_digits`
    std::int64_t inner;     // K
};

// out = init + sum of factors, as `product` of product.hpp; `init` and `ahead` may be null.
void digit_product(const DigitFactor* factors, int count, const float* init, std::int64_t init_row, float* out,
                   std::int64_t out_row, std::int64_t rows, int columns, int first_panel, int last_panel, Ahead* ahead);

// How often a factor asks ahead, for all rows and so many panels.
constexpr std::int64_t digit_rounds(std::int64_t rows, int panels, std::int64_t inner) {
    return digit_tiles(rows) * panels * 2 * ((inner + 63) / 64);
}

// Floats of the memory that a sum of outer products packs digits in: they stay in the second-level cache.
constexpr std::int64_t digit_space = std::int64_t{1} << 18;
constexpr std::int64_t most_summed_digits = 2048;  // r

// out (+)= sum over r of left[r, 0:rows] * right[r, 0:columns], as `outer` of outer.hpp; r up to most_summed_digits.
// `space`: digit_space floats on a line of the cache.
void digit_outer(std::int64_t count, const float* left, std::int64_t left_row, int rows, const float* right,
                 std::int64_t right_row, int columns, float* out, std::int64_t out_row, bool add, float* space);

}  // namespace steploom
