// Sums of outer products over many rows: the gradients of weights.
#pragma once

#include <algorithm>
#include <utility>

#include "pack.hpp"

namespace steploom::STEPLOOM_ISA {

constexpr int most_outer_rows = 8;

// `Rows` x `N` vectors of out (+)= sum over r of left[r, 0:Rows] * right[r, 0:columns]. `Whole`: rows of `right` may be
// read to the end of their last vector; what stands there beyond `columns` has no influence.
template <class T, int Rows, int N, bool Whole>
void outer_tile(std::int64_t count, const T* left, std::int64_t left_row, const T* right, std::int64_t right_row, T* out,
                std::int64_t out_row, bool add, int columns) {
    constexpr int L = lanes<T>;
    const bool all = columns == N * L;
    const Part<T> last(columns - (N - 1) * L);
    V<T> sum[Rows][N];
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < N; ++j) {
            const T* from = out + i * out_row + j * L;
            sum[i][j] = !add ? V<T>{} : all || j < N - 1 ? load(from) : last.load(from);
        }
#pragma GCC unroll 1
    for (std::int64_t r = 0; r < count; ++r) {
        V<T> row[N];
        for (int j = 0; j < N; ++j) row[j] = Whole || j < N - 1 ? load(right + j * L) : last.load(right + j * L);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const V<T> x = broadcast(left[i]);
            for (int j = 0; j < N; ++j) sum[i][j] += x * row[j];
        }
        left += left_row;
        right += right_row;
    }
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < N; ++j) {
            if (all || j < N - 1) store(out + i * out_row + j * L, sum[i][j]);
            else last.store(out + i * out_row + j * L, sum[i][j]);
        }
}

template <class T>
using OuterTile = void (*)(std::int64_t, const T*, std::int64_t, const T*, std::int64_t, T*, std::int64_t, bool, int);

template <class T, int N, bool Whole, int... I>
OuterTile<T> outer_tile_of(int rows, std::integer_sequence<int, I...>) {
    static constexpr OuterTile<T> tiles[] = {outer_tile<T, I + 1, N, Whole>...};
    return tiles[rows - 1];
}

// Of `right`, so many rows of a panel's width at a time stay in the first-level cache while all of `left` passes by.
constexpr std::int64_t outer_block = 128;

template <class T>
void outer(std::int64_t count, const T* left, std::int64_t left_row, int rows, const T* right, std::int64_t right_row,
           int columns, T* out, std::int64_t out_row, bool add) {
    const std::int64_t blocks = std::max<std::int64_t>(1, (count + outer_block - 1) / outer_block);
    const int tiles = (rows + most_outer_rows - 1) / most_outer_rows;
    for (int column = 0; column < columns; column += panel_columns<T>) {
        const int width = std::min(panel_columns<T>, columns - column);
        const int vectors = width > lanes<T> ? 2 : 1;
        const bool whole = width == vectors * lanes<T> || right_row >= column + vectors * lanes<T>;
        for (std::int64_t block = 0; block < blocks; ++block) {
            const std::int64_t first = count * block / blocks, many = count * (block + 1) / blocks - first;
            const T *lefts = left + first * left_row, *rights = right + first * right_row + column;
            for (int tile = 0; tile < tiles; ++tile) {
                const int row = rows * tile / tiles, height = rows * (tile + 1) / tiles - row;
                constexpr auto heights = std::make_integer_sequence<int, most_outer_rows>{};
                const OuterTile<T> run = vectors == 2 ? (whole ? outer_tile_of<T, 2, true>(height, heights)
                                                               : outer_tile_of<T, 2, false>(height, heights))
                                                      : (whole ? outer_tile_of<T, 1, true>(height, heights)
                                                               : outer_tile_of<T, 1, false>(height, heights));
                run(many, lefts + row, left_row, rights, right_row, out + row * out_row + column, out_row, add || block, width);
            }
        }
    }
}

}  // namespace steploom::STEPLOOM_ISA
