// Products of float32 numbers as exact products of bytes, for processors that multiply tiles of bytes (AMX).
//
// A row of numbers is scaled by its largest and rounded to whole numbers of 24 bits, of which each is three digits from
// -128 to 127 in base 256. Digits are multiplied and summed without error; of the nine products of digits the six largest
// are made. For each product of two numbers, what was rounded and what is left out is about 2^-24 of the product of the
// largest numbers of the two rows, and at the most four times that: on usual data less than float32 loses when it adds them
// up, and more where a result is small because large numbers of one row meet small ones of the other. Where it can be known
// which of the K numbers are large, one side is multiplied by powers of two and the other divided by them: see `balance`. The
// scheme is that of
// Ozaki, Ogita, Oishi and Rump, "Error-free transformations of matrix multiplication by using fast routines of matrix
// multiplication and its applications" (2012), cut off where float32 ends.
//
// Numbers count as 0 where none of their row is larger than 1e-30. Infinity on the left side of a product goes as it does in
// float32, but by weights that count as 0; among weights, and in gradients, it becomes NaN.
#pragma once

#include <cstdint>

#include "ahead.hpp"

namespace steploom {

// Whether this processor multiplies tiles, and the system lets this process do it. The first call asks the system for leave,
// which holds for the whole process.
bool have_tiles();

constexpr int digit_panel_columns = 32;
constexpr int digit_panels(int columns) { return (columns + digit_panel_columns - 1) / digit_panel_columns; }
// Digits are multiplied by 64 of a row.
constexpr std::int64_t digit_chunks(std::int64_t inner) { return (inner + 63) / 64; }

// Rows are multiplied in tiles of up to 16; how high they are is how much is gained.
constexpr std::int64_t digit_tiles(std::int64_t rows) { return (rows + 15) / 16; }
constexpr std::int64_t digit_tile_height(std::int64_t rows) {
    return rows ? (rows + digit_tiles(rows) - 1) / digit_tiles(rows) : 0;
}

// Floats that a panel of packed digits takes: three bytes a weight, and a scale for each column.
constexpr std::int64_t digit_panel_size(std::int64_t inner) { return digit_chunks(inner) * 64 * 24 + digit_panel_columns; }

// Powers of two near `most` (inner,), the largest absolute values of one side of a product, and their inverses, as factors of
// the other side and of this one: what each number can add to the result is then known from the other side alone. Where
// nothing is known of a number, its power is 1.
void balance(const float* most, std::int64_t inner, float* up, float* down);

// As `pack` of pack.hpp: panels [first, last) of a matrix (columns x inner), as digits. `by`: factors (inner,), or null.
void pack_digits(const float* matrix, std::int64_t column_stride, std::int64_t inner_stride, int columns, int inner,
                 const float* by, float* panels, int first, int last);

struct DigitFactor {
    const float* left;      // rows
    std::int64_t left_row;  // distance between rows; the K values of a row are neighbours
    const float* panels;    // of `pack_digits`
    std::int64_t inner;     // K, at least 1
    const float* by;        // factors (K,) of the left side, or null
};

// out = init + sum of factors, as `product` of product.hpp; `init` and `ahead` may be null.
void digit_product(const DigitFactor* factors, int count, const float* init, std::int64_t init_row, float* out,
                   std::int64_t out_row, std::int64_t rows, int columns, int first_panel, int last_panel, Ahead* ahead);

// How often a factor asks ahead, for all rows and so many panels.
constexpr std::int64_t digit_rounds(std::int64_t rows, int panels, std::int64_t inner) {
    return digit_tiles(rows) * panels * 2 * digit_chunks(inner);
}

// Floats of the memory that a sum of outer products packs digits in: they stay in the second-level cache.
constexpr std::int64_t digit_space = std::int64_t{1} << 18;
constexpr std::int64_t most_summed_digits = 2048;

// out (+)= sum over r of left[r, 0:rows] * right[r, 0:columns], as `outer` of outer.hpp; r up to most_summed_digits.
// `space`: digit_space floats on a line of the cache.
void digit_outer(std::int64_t count, const float* left, std::int64_t left_row, int rows, const float* right,
                 std::int64_t right_row, int columns, float* out, std::int64_t out_row, bool add, float* space);

}  // namespace steploom
