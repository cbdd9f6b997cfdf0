// Products of a few rows with packed weights, and sums of outer products over many rows.
#pragma once

#include <algorithm>

#include "vector.hpp"

namespace steploom::STEPLOOM_ISA {

// Columns of a panel: two vectors. Within a panel the weights stand in the order in which the product reads them.
template <class T> constexpr int panel_columns = 2 * lanes<T>;
constexpr int most_rows = 14;
constexpr int most_outer_rows = 8;

template <class T> struct Factor {
    const T* left;             // rows
    std::int64_t left_row;     // distance between rows; the K values of a row are neighbours
    const T* panel;            // first panel
    std::int64_t panel_step;   // distance between panels
    std::int64_t inner;        // K
};

// `rows` x `columns` of out = init + sum of factors. Rows of `init` are `init_row` apart (0: one row for all).
template <class T, int Rows, int Panels>
void product_tile(const Factor<T>* factors, int count, const T* init, std::int64_t init_row, T* out,
                  std::int64_t out_row, int columns) {
    constexpr int L = lanes<T>, N = 2 * Panels;
    V<T> sum[Rows][N];
    const bool whole = columns == N * L;
    if (!init) {
        for (int i = 0; i < Rows; ++i)
            for (int j = 0; j < N; ++j) sum[i][j] = V<T>{};
    } else if (whole) {
        for (int i = 0; i < Rows; ++i)
            for (int j = 0; j < N; ++j) sum[i][j] = load(init + i * init_row + j * L);
    } else {
        for (int i = 0; i < Rows; ++i)
            for (int j = 0; j < N; ++j) {
                const int rest = columns - j * L;
                const T* from = init + i * init_row + j * L;
                sum[i][j] = rest >= L ? load(from) : rest > 0 ? load_part(from, rest) : V<T>{};
            }
    }
    for (int f = 0; f < count; ++f) {
        const T* left = factors[f].left;
        const T* panel = factors[f].panel;
        const std::int64_t row = factors[f].left_row, step = factors[f].panel_step, inner = factors[f].inner;
#pragma GCC unroll 1
        for (std::int64_t k = 0; k < inner; ++k) {
            V<T> right[N];
#pragma GCC unroll 16
            for (int j = 0; j < N; ++j) right[j] = load(panel + (j / 2) * step + (j % 2) * L);
#pragma GCC unroll 16
            for (int i = 0; i < Rows; ++i) {
                const V<T> x = broadcast(left[i * row]);
#pragma GCC unroll 16
                for (int j = 0; j < N; ++j) sum[i][j] += x * right[j];
            }
            ++left;
            panel += 2 * L;
        }
    }
    if (whole) {
        for (int i = 0; i < Rows; ++i)
            for (int j = 0; j < N; ++j) store(out + i * out_row + j * L, sum[i][j]);
        return;
    }
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < N; ++j) {
            const int rest = columns - j * L;
            if (rest >= L) store(out + i * out_row + j * L, sum[i][j]);
            else if (rest > 0) store_part(out + i * out_row + j * L, sum[i][j], rest);
        }
}

// `Rows` x 2 vectors of out (+)= sum over r of left[r, 0:Rows] * right[r, 0:columns]. `Whole`: all columns are there.
template <class T, int Rows, bool Whole>
void outer_tile(std::int64_t count, const T* left, std::int64_t left_row, const T* right, std::int64_t right_row, T* out,
                std::int64_t out_row, bool add, int columns) {
    constexpr int L = lanes<T>;
    const int counts[2] = {Whole ? L : std::min(columns, L), Whole ? L : std::max(columns - L, 0)};
    const auto read = [&](const T* from, int j) {
        if constexpr (Whole) return load(from);
        return counts[j] == L ? load(from) : counts[j] > 0 ? load_part(from, counts[j]) : V<T>{};
    };
    V<T> sum[Rows][2];
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < 2; ++j) sum[i][j] = add ? read(out + i * out_row + j * L, j) : V<T>{};
#pragma GCC unroll 1
    for (std::int64_t r = 0; r < count; ++r) {
        const V<T> a = read(right, 0), b = read(right + L, 1);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const V<T> x = broadcast(left[i]);
            sum[i][0] += x * a;
            sum[i][1] += x * b;
        }
        left += left_row;
        right += right_row;
    }
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < 2; ++j) {
            if (counts[j] == L) store(out + i * out_row + j * L, sum[i][j]);
            else if (counts[j] > 0) store_part(out + i * out_row + j * L, sum[i][j], counts[j]);
        }
}

template <class T>
using ProductTile = void (*)(const Factor<T>*, int, const T*, std::int64_t, T*, std::int64_t, int);
template <class T>
using OuterTile = void (*)(std::int64_t, const T*, std::int64_t, const T*, std::int64_t, T*, std::int64_t, bool, int);

template <class T, int... I> ProductTile<T> product_tile_of(int rows, std::integer_sequence<int, I...>) {
    static constexpr ProductTile<T> tiles[] = {product_tile<T, I + 1, 1>...};
    return tiles[rows - 1];
}
template <class T, bool Whole, int... I> OuterTile<T> outer_tile_of(int rows, std::integer_sequence<int, I...>) {
    static constexpr OuterTile<T> tiles[] = {outer_tile<T, I + 1, Whole>...};
    return tiles[rows - 1];
}

// One row or two leave the multipliers waiting for each other's sums, so they take several panels at once.
template <class T> ProductTile<T> wide_tile(int rows) {
    static constexpr ProductTile<T> tiles[] = {product_tile<T, 1, 8>, product_tile<T, 2, 4>, product_tile<T, 3, 2>,
                                               product_tile<T, 4, 2>};
    return tiles[rows - 1];
}
inline int wide_panels(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }

// Memory that the next step will read, brought nearer while a product keeps the multipliers busy. The hardware does not
// guess it: a step reads a little from many places, and the backward pass reads them from the end.
struct Ahead {
    static constexpr int most = 32;
    const char* at[most];
    std::int64_t bytes[most];
    int count = 0, place = 0;
    std::int64_t offset = 0, lines = 0, each = 0;

    void add(const void* data, std::int64_t size) {
        if (count == most || size <= 0) return;
        at[count] = static_cast<const char*>(data);
        bytes[count++] = size;
        lines += size / 64 + 1;
    }
    void issue() {
        for (std::int64_t n = each; n > 0 && place < count; --n) {
            __builtin_prefetch(at[place] + offset, 0, 2);
            offset += 64;
            if (offset >= bytes[place]) offset = 0, ++place;
        }
    }
};

// out[:, first panel * columns ...] of `rows` rows.
template <class T>
void product(Factor<T>* factors, int count, const T* init, std::int64_t init_row, T* out, std::int64_t out_row,
             std::int64_t rows, int columns, int first_panel, int last_panel, Ahead* ahead = nullptr) {
    constexpr int P = panel_columns<T>;
    const int tiles = static_cast<int>((rows + most_rows - 1) / most_rows);
    if (ahead) ahead->each = ahead->lines / std::max(1, tiles * (last_panel - first_panel)) + 1;
    Factor<T> at[8];
    for (int panel = first_panel; panel < last_panel;) {
        const int column = panel * P;
        int panels = 1;
        if (tiles == 1 && rows <= 4 && last_panel - panel >= wide_panels(static_cast<int>(rows)))
            panels = wide_panels(static_cast<int>(rows));
        const int width = std::min(panels * P, columns - column);
        for (int tile = 0; tile < tiles; ++tile) {
            const std::int64_t row = rows * tile / tiles, height = rows * (tile + 1) / tiles - row;
            for (int f = 0; f < count; ++f) {
                at[f] = factors[f];
                at[f].left += row * factors[f].left_row;
                at[f].panel += panel * factors[f].panel_step;
            }
            const ProductTile<T> run =
                panels > 1 ? wide_tile<T>(static_cast<int>(height))
                           : product_tile_of<T>(static_cast<int>(height), std::make_integer_sequence<int, most_rows>{});
            if (ahead) ahead->issue();
            run(at, count, init ? init + row * init_row + column : nullptr, init_row, out + row * out_row + column,
                out_row, width);
        }
        panel += panels;
    }
}

template <class T>
void outer(std::int64_t count, const T* left, std::int64_t left_row, int rows, const T* right, std::int64_t right_row,
           int columns, T* out, std::int64_t out_row, bool add) {
    for (int column = 0; column < columns; column += panel_columns<T>) {
        const int width = std::min(panel_columns<T>, columns - column);
        const int tiles = (rows + most_outer_rows - 1) / most_outer_rows;
        for (int tile = 0; tile < tiles; ++tile) {
            const int row = rows * tile / tiles, height = rows * (tile + 1) / tiles - row;
            constexpr auto heights = std::make_integer_sequence<int, most_outer_rows>{};
            const OuterTile<T> run = width == panel_columns<T> ? outer_tile_of<T, true>(height, heights)
                                                               : outer_tile_of<T, false>(height, heights);
            run(count, left + row, left_row, right + column, right_row, out + row * out_row + column, out_row, add, width);
        }
    }
}

// Panels [first, last) of a matrix (columns x inner) with the given strides; columns beyond the matrix are 0.
template <class T>
void pack(const T* matrix, std::int64_t column_stride, std::int64_t inner_stride, int columns, int inner, T* panels,
          int first, int last) {
    constexpr int P = panel_columns<T>;
    for (int panel = first; panel < last; ++panel) {
        T* out = panels + static_cast<std::int64_t>(panel) * P * inner;
        const int width = std::min(P, columns - panel * P);
        const T* from = matrix + panel * P * column_stride;
        if (column_stride == 1) {
            for (int k = 0; k < inner; ++k) {
                for (int n = 0; n < width; ++n) out[k * P + n] = from[n + k * inner_stride];
                for (int n = width; n < P; ++n) out[k * P + n] = 0;
            }
            continue;
        }
        // Blocks of K small enough that the lines read stay in the first-level cache until all their values are taken.
        for (int k0 = 0; k0 < inner; k0 += 16) {
            const int k1 = std::min(k0 + 16, inner);
            for (int n = 0; n < width; ++n)
                for (int k = k0; k < k1; ++k) out[k * P + n] = from[n * column_stride + k * inner_stride];
            for (int n = width; n < P; ++n)
                for (int k = k0; k < k1; ++k) out[k * P + n] = 0;
        }
    }
}

}  // namespace steploom::STEPLOOM_ISA
