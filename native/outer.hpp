// Sums of outer products over many rows: the gradients of weights.
#pragma once

#include <algorithm>
#include <utility>

#include "pack.hpp"

namespace steploom::STEPLOOM_ISA {

// The sums of a tile stay in registers: so many rows, for each number of vectors of columns.
template <int N> constexpr int most_outer_rows = many_registers ? (N <= 2 ? 12 : 6) : 6;
// Sums beyond the second-level cache are read and written in longer pieces of their rows.
template <class T> bool are_broad(int rows, int columns) {
    return std::int64_t{rows} * columns * static_cast<std::int64_t>(sizeof(T)) > (std::int64_t{1} << 20);
}

// `Rows` x `N` vectors of out (+)= sum over r of left[r, 0:Rows] * right[r, 0:columns]. `Whole`: rows of `right` may be
// read to the end of their last vector; what stands there beyond `columns` has no influence. `next`: the sums of the next
// tile, asked for meanwhile.
template <class T, int Rows, int N, bool Whole>
void outer_tile(std::int64_t count, const T* left, std::int64_t left_row, const T* right, std::int64_t right_row, T* out,
                std::int64_t out_row, bool add, int columns, const T* next) {
    constexpr int L = lanes<T>;
    for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < N; ++j) __builtin_prefetch(next + i * out_row + j * L, 1);
    const bool all = columns == N * L;
    const Part<T> last(columns - (N - 1) * L);
    V<T> sum[Rows][N];
    each_of<Rows, N>([&](int i, int j) {
        const T* const from = out + i * out_row + j * L;
        sum[i][j] = !add ? V<T>{} : all || j < N - 1 ? load(from) : last.load(from);
    });
#pragma GCC unroll 2
    for (std::int64_t r = 0; r < count; ++r) {
        V<T> row[N];
        for (int j = 0; j < N; ++j) row[j] = kept<T>(Whole || j < N - 1 ? load(right + j * L) : last.load(right + j * L));
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const V<T> x = broadcast(left[i]);
            for (int j = 0; j < N; ++j) sum[i][j] += x * row[j];
        }
        // Rows that lie far apart the hardware does not guess.
        const std::uintptr_t later = reinterpret_cast<std::uintptr_t>(right) + 4 * right_row * sizeof(T);
#pragma GCC unroll 4
        for (std::size_t line = 0; line < N * sizeof(V<T>); line += 64) __builtin_prefetch(reinterpret_cast<const void*>(later + line));
        left += left_row;
        right += right_row;
    }
    each_of<Rows, N>([&](int i, int j) {
        T* const to = out + i * out_row + j * L;
        if (all || j < N - 1) store(to, sum[i][j]);
        else last.store(to, sum[i][j]);
    });
}

template <class T>
using OuterTile = void (*)(std::int64_t, const T*, std::int64_t, const T*, std::int64_t, T*, std::int64_t, bool, int, const T*);

template <class T, int N, bool Whole, int... I> OuterTile<T> outer_tile_of(int rows, std::integer_sequence<int, I...>) {
    static constexpr OuterTile<T> tiles[] = {outer_tile<T, I + 1, N, Whole>...};
    return tiles[rows - 1];
}
template <class T, int N> OuterTile<T> outer_tile_of(int rows, bool whole) {
    constexpr auto heights = std::make_integer_sequence<int, most_outer_rows<N>>{};
    return whole ? outer_tile_of<T, N, true>(rows, heights) : outer_tile_of<T, N, false>(rows, heights);
}

template <class T, int Most> OuterTile<T> outer_tile_for(int vectors, int rows, bool whole) {
    if constexpr (Most > 1)
        if (vectors < Most) return outer_tile_for<T, Most - 1>(vectors, rows, whole);
    return outer_tile_of<T, Most>(rows, whole);
}

// Of `right`, so many rows of a panel's width at a time stay in the first-level cache, or little beyond it, while `left`
// passes by: the sums are read and written once a block.
constexpr std::int64_t outer_block = 384;
// Elements of the memory in which tiles of `left` are laid out one after the other. It stays in the second-level cache
// while all right sides pass by.
template <class T> constexpr std::int64_t outer_space = (std::int64_t{256} << 10) / sizeof(T);
// Whether there are panels enough to pay for that: the hardware does not guess ahead where each row lies far from the one
// before.
template <class T> bool packs_tiles(int columns) { return columns > 5 * panel_columns<T>; }

// The columns of each tile as neighbours: tile i begins at column starts[i].
template <class T>
void pack_tiles(std::int64_t count, const T* left, std::int64_t left_row, const int* starts, int tiles, T* packed) {
    constexpr int L = lanes<T>;
    for (int tile = 0; tile < tiles; ++tile) {
        const int row = starts[tile], height = starts[tile + 1] - row, whole = (height - 1) / L * L;
        const Part<T> rest(height - whole);
        const T* from = left + row;
        T* to = packed + row * count;
        for (std::int64_t r = 0; r < count; ++r, from += left_row, to += height) {
            for (int j = 0; j < whole; j += L) store(to + j, load(from + j));
            rest.store(to + whole, rest.load(from + whole));
        }
    }
}

// One side of sums of outer products, and where they are summed up: out (+)= sum over r of left[r]^T * values[r].
template <class T> struct Right {
    const T* values;
    std::int64_t row;  // distance between rows
    int columns;
    T* out;
    std::int64_t out_row;
    bool add;
};

// Adds a block of `count` rows: of `left`, laid out in tiles in `space` if there is one, with all columns of one `right`.
// `ends`: no rows come after these.
template <class T, int N>
void outer_block_of(std::int64_t count, const T* left, std::int64_t left_row, const int* starts, int tiles, const T* space,
                    const Right<T>& right, bool ends) {
    constexpr int L = lanes<T>, P = N * L;
    for (int column = 0; column < right.columns; column += P) {
        const int width = std::min(P, right.columns - column);
        const int vectors = (width + L - 1) / L;
        // Behind the last row there need be nothing.
        const bool whole = width == vectors * L || (!ends && right.row >= column + vectors * L);
        T* const out = right.out + column;
        for (int tile = 0; tile < tiles; ++tile) {
            const int row = starts[tile], height = starts[tile + 1] - row;
            outer_tile_for<T, N>(vectors, height, whole)(
                count, space ? space + row * count : left + row, space ? height : left_row, right.values + column, right.row,
                out + row * right.out_row, right.out_row, right.add, width,
                tile + 1 < tiles ? out + (row + height) * right.out_row : out + P);
        }
    }
}

// As `outer`, in tiles of `N` vectors of columns.
template <class T, int N>
void outer_in_tiles(std::int64_t count, const T* left, std::int64_t left_row, int rows, const Right<T>* rights,
                    int right_count, T* space) {
    constexpr int most = most_outer_rows<N>;
    constexpr int most_tiles = static_cast<int>(outer_space<T> / (outer_block * most));
    const std::int64_t blocks = std::max<std::int64_t>(1, (count + outer_block - 1) / outer_block);
    const int tiles = (rows + most - 1) / most, groups = (tiles + most_tiles - 1) / most_tiles;
    const auto row_of = [&](int tile) { return static_cast<int>(std::int64_t{rows} * tile / tiles); };
    int starts[most_tiles + 1];
    for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t first = count * block / blocks, many = count * (block + 1) / blocks - first;
        for (int group = 0; group < groups; ++group) {
            const int tile0 = tiles * group / groups, here = tiles * (group + 1) / groups - tile0, row0 = row_of(tile0);
            for (int tile = 0; tile <= here; ++tile) starts[tile] = row_of(tile0 + tile) - row0;
            const T* const lefts = left + first * left_row + row0;
            if (space) pack_tiles(many, lefts, left_row, starts, here, space);
            for (int i = 0; i < right_count; ++i) {
                Right<T> right = rights[i];
                right.values += first * right.row;
                right.out += row0 * right.out_row;
                right.add |= block > 0;
                outer_block_of<T, N>(many, lefts, left_row, starts, here, space, right, block + 1 == blocks);
            }
        }
    }
}

// out (+)= sum over r of left[r, 0:rows] * values[r, 0:columns] for each of the right sides. `space`: outer_space
// elements, or null for few columns.
template <class T>
void outer(std::int64_t count, const T* left, std::int64_t left_row, int rows, const Right<T>* rights, int right_count, T* space) {
    int widest = 0;
    for (int i = 0; i < right_count; ++i) widest = std::max(widest, rights[i].columns);
    auto run = outer_in_tiles<T, 2>;
    if constexpr (many_registers)
        if (are_broad<T>(rows, widest)) run = outer_in_tiles<T, 4>;
    run(count, left, left_row, rows, rights, right_count, packs_tiles<T>(widest) ? space : nullptr);
}

// Sums of outer products with the same left side are made together, so that it is laid out in tiles once. They are made at
// `finish`, which has to come before anybody reads them.
template <class T> class SumsOfLeft {
  public:
    void add(std::int64_t count, const T* left, std::int64_t left_row, int height, const Right<T>& right, T* space) {
        if (rights_ == most || left != left_ || left_row != left_row_ || height != height_) finish();
        count_ = count, left_ = left, left_row_ = left_row, height_ = height, space_ = space;
        right_[rights_++] = right;
    }
    void finish() {
        if (rights_) outer(count_, left_, left_row_, height_, right_, rights_, space_);
        rights_ = 0;
    }

  private:
    static constexpr int most = 8;
    Right<T> right_[most];
    int rights_ = 0, height_ = 0;
    std::int64_t count_ = 0, left_row_ = 0;
    const T* left_ = nullptr;
    T* space_ = nullptr;
};

}  // namespace steploom::STEPLOOM_ISA
