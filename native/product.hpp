// Products of a few rows with packed weights.
#pragma once

#include <algorithm>
#include <utility>

#include "ahead.hpp"
#include "pack.hpp"
#include "schedule.hpp"

namespace steploom::STEPLOOM_ISA {

// The sums of a tile stay in registers, beside the weights of a k: so many rows, for each number of vectors of columns.
template <int N> constexpr int most_rows = many_registers ? (N <= 2 ? 14 : N == 4 ? 6 : 2) : (N <= 2 ? 6 : 3);

template <class T> struct Factor {
    const T* left;             // rows
    std::int64_t left_row;     // distance between rows; the K values of a row are neighbours
    const T* panel;            // first panel
    std::int64_t panel_step;   // distance between panels
    std::int64_t inner;        // K
    const T* soon = nullptr;   // of far weights: this tile's share of the panel that comes next, asked for meanwhile
    std::int64_t soon_step = 0;  // elements of it a k
};

// Asks for `Bytes` of the weights that are read some k later. What lies behind the last of them is asked for in vain.
constexpr int ahead_bytes = 2048;

// Always inline, or the compiler finds that it computes nothing and leaves it out.
template <int Bytes, class T> [[gnu::always_inline]] inline void ask(const T* weights) {
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(weights) + ahead_bytes;
#pragma GCC unroll 4
    for (int line = 0; line < Bytes; line += 64) __builtin_prefetch(reinterpret_cast<const void*>(at + line));
}

// `Rows` x `columns` of out = init + sum of factors, for columns of `N` vectors, the last of which may be filled in part.
// Rows of `init` are `init_row` apart (0: one row for all). `Far`: the factors say what to ask for meanwhile.
template <class T, int Rows, int N, bool Far>
void product_tile(const Factor<T>* factors, int count, const T* init, std::int64_t init_row, T* out,
                  std::int64_t out_row, int columns, Ahead* ahead) {
    constexpr int L = lanes<T>;
    V<T> sum[Rows][N];
    const bool whole = columns == N * L;
    each_of<Rows, N>([&](int i, int j) {
        const int rest = columns - j * L;
        const T* const from = init + i * init_row + j * L;
        if (!init) sum[i][j] = V<T>{};
        else if (whole || rest >= L) sum[i][j] = load(from);  // `whole` first: there is one test then, and not one a vector
        else sum[i][j] = load_part(from, rest);
    });
    for (int f = 0; f < count; ++f) {
        const T* left = factors[f].left;
        const T* panel = factors[f].panel;
        [[maybe_unused]] const T* soon = factors[f].soon;
        [[maybe_unused]] const std::int64_t soon_step = factors[f].soon_step;
        const std::int64_t row = factors[f].left_row, step = factors[f].panel_step, inner = factors[f].inner;
        std::uintptr_t early = reinterpret_cast<std::uintptr_t>(left);
        const std::int64_t further = ahead ? ahead->step() : 0;  // mostly no more than a line
        const auto add = [&]() __attribute__((always_inline)) {
            V<T> right[N];
#pragma GCC unroll 16
            for (int j = 0; j < N; ++j) {
                right[j] = load(panel + (j / 2) * step + (j % 2) * L);
                if constexpr (Rows * N + N < vector_registers) right[j] = kept<T>(right[j]);
            }
#pragma GCC unroll 16
            for (int i = 0; i < Rows; ++i) {
                const V<T> x = broadcast(left[i * row]);
#pragma GCC unroll 16
                for (int j = 0; j < N; ++j) sum[i][j] += x * right[j];
            }
#pragma GCC unroll 16
            for (int j = 0; j < N; j += 2) ask<std::min(N, 2) * sizeof(V<T>)>(panel + (j / 2) * step);
            if constexpr (Far) {
                __builtin_prefetch(soon, 0, 2);
                soon += soon_step;
            }
            ++left;
            panel += 2 * L;
            // Or the compiler keeps the address of each row and k of a round, more than it has registers for.
            asm volatile("" : "+r"(left), "+r"(panel));
        };
#pragma GCC unroll 1
        for (std::int64_t k = 0; k < inner;) {
            const std::int64_t end = std::min<std::int64_t>(inner, k + Ahead::stretch);
            if (ahead) early = reinterpret_cast<std::uintptr_t>(ahead->next(end - k));
            // Four k a round: weights that lie in the second-level caches of two processors are read a fifth faster than
            // one by one.
#pragma GCC unroll 1
            for (; k + 4 <= end; k += 4) {
#pragma GCC unroll 2
                for (int half = 0; half < 2; ++half) {
                    if (ahead) {
                        __builtin_prefetch(reinterpret_cast<const void*>(early), 0, 2);
                        __builtin_prefetch(reinterpret_cast<const void*>(early + further), 0, 2);
                        early += 2 * further;
                    }
                    add();
                    add();
                }
            }
#pragma GCC unroll 1
            for (; k < end; ++k) add();
        }
    }
    each_of<Rows, N>([&](int i, int j) {
        const int rest = columns - j * L;
        T* const to = out + i * out_row + j * L;
        if (whole || rest >= L) store(to, sum[i][j]);
        else store_part(to, sum[i][j], rest);
    });
}

// Where a list of stages reads more bytes of weights than these, over and over, they come from the third-level cache or from
// memory. They are asked for a whole panel early then, beside what is asked for in any case; nearer ones would only be slowed
// down by that.
constexpr std::int64_t far_weights = std::int64_t{3} << 19;

// One row of `N` panels side by side. Several k at once keep the multipliers busy, and the weights of a panel are read in the
// order in which they stand: with weights in the second-level cache that is as fast as reading them alone.
template <class T, int N, bool Far>
void product_row_of(const Factor<T>* factors, int count, const T* init, T* out, int columns, int panel) {
    constexpr int L = lanes<T>, Depth = N == 1 || many_registers ? 4 : 2, P = 2 * L;
    V<T> sum[Depth][2 * N];
    const int column = panel * P;
    each_of<Depth, 2 * N>([&](int d, int j) { sum[d][j] = V<T>{}; });
    const auto rest = [&](int j) { return columns - column - j * L; };
    if (init)
        each_of<1, 2 * N>([&](int, int j) {
            if (rest(j) >= L) sum[0][j] = load(init + column + j * L);
            else if (rest(j) > 0) sum[0][j] = load_part(init + column + j * L, rest(j));
        });
    for (int f = 0; f < count; ++f) {
        const T *left = factors[f].left, *at = factors[f].panel + panel * factors[f].panel_step;
        const std::int64_t step = factors[f].panel_step;
        const T* const end = left + factors[f].inner;
#pragma GCC unroll 1
        for (; left + Depth <= end; left += Depth, at += Depth * P) {
            each_of<Depth, 1>([&](int d, int) {
                const V<T> x = broadcast(left[d]);
                each_of<N, 1>([&](int i, int) {
                    const T* const weights = at + i * step + d * P;
                    if constexpr (Far) ask<P * sizeof(T)>(weights);
                    sum[d][2 * i] += x * load(weights);
                    sum[d][2 * i + 1] += x * load(weights + L);
                });
            });
        }
#pragma GCC unroll 1
        for (; left < end; ++left, at += P) {
            const V<T> x = broadcast(*left);
            each_of<1, 2 * N>([&](int, int j) { sum[0][j] += x * load(at + j / 2 * step + j % 2 * L); });
        }
    }
    each_of<1, 2 * N>([&](int, int j) {
        V<T> all = sum[0][j] + sum[1][j];
        if constexpr (Depth == 4) all += sum[2][j] + sum[3][j];
        if (rest(j) >= L) store(out + column + j * L, all);
        else if (rest(j) > 0) store_part(out + column + j * L, all, rest(j));
    });
}

template <class T, bool Far>
void product_row(const Factor<T>* factors, int count, const T* init, T* out, int columns, int first_panel, int last_panel) {
    int panel = first_panel;
    for (; panel + 2 <= last_panel; panel += 2) product_row_of<T, 2, Far>(factors, count, init, out, columns, panel);
    if (panel < last_panel) product_row_of<T, 1, Far>(factors, count, init, out, columns, panel);
}

template <class T>
using ProductTile = void (*)(const Factor<T>*, int, const T*, std::int64_t, T*, std::int64_t, int, Ahead*);

template <class T, int N, bool Far, int... I> ProductTile<T> product_tile_of(int rows, std::integer_sequence<int, I...>) {
    static constexpr ProductTile<T> tiles[] = {product_tile<T, I + 1, N, Far>...};
    return tiles[rows - 1];
}
template <class T, int N, bool Far> ProductTile<T> product_tile_of(int rows) {
    return product_tile_of<T, N, Far>(rows, std::make_integer_sequence<int, most_rows<N>>{});
}

// How many panels the tiles of so many rows take side by side. Two panels need fewer values broadcast for a sum than one, as
// long as the tiles have five or six rows; fewer rows leave the multipliers waiting for each other's sums. Far weights come
// anew from the second-level cache for each tile: for tiles of one panel, which are twice as high, half as often.
inline int panels_of(std::int64_t rows, bool far) {
    if (!many_registers) return rows <= 3 ? 2 : 1;
    if (rows <= 4) return rows == 2 ? 4 : 2;
    const std::int64_t tiles = (rows + most_rows<4> - 1) / most_rows<4>;
    return rows / tiles >= most_rows<4> - 1 && !(far && tiles > 1) ? 2 : 1;
}

// The tiles of so many rows that take so many panels each.
inline int tiles_of(std::int64_t rows, int panels) {
    const int most = panels == 1 ? most_rows<2> : panels == 2 ? most_rows<4> : most_rows<8>;
    return static_cast<int>((rows + most - 1) / most);
}

// About how often the loop over a sum passes by one of its k, for all rows and so many panels.
inline std::int64_t rounds_of(std::int64_t rows, int panels) {
    const int together = panels_of(rows, false);
    return std::int64_t{tiles_of(rows, together)} * ((panels + together - 1) / together);
}

// out[:, first panel * columns ...] of `rows` rows. `far`: the weights are, see `far_weights`.
template <class T>
void product(Factor<T>* factors, int count, const T* init, std::int64_t init_row, T* out, std::int64_t out_row,
             std::int64_t rows, int columns, int first_panel, int last_panel, bool far, Ahead* ahead) {
    constexpr int P = panel_columns<T>;
    if (rows == 1) return (far ? product_row<T, true> : product_row<T, false>)(factors, count, init, out, columns, first_panel, last_panel);
    const int most = panels_of(rows, far);
    // The hardware guesses no further than a page of memory, so the tiles of a panel share the asking for the next one. So
    // many rows of far weights take one panel at a time.
    const bool asks = far && rows > most_rows<2>;
    Factor<T> at[most_terms];
    for (int panel = first_panel; panel < last_panel;) {
        const int column = panel * P;
        // Side by side only if all of their vectors have columns: an empty one would take as long as another.
        const bool fewer = last_panel - panel < most || columns - column <= most * P - lanes<T>;
        const int panels = fewer ? 1 : most, width = std::min(panels * P, columns - column);
        const int tiles = tiles_of(rows, panels);
        for (int tile = 0; tile < tiles; ++tile) {
            const std::int64_t row = rows * tile / tiles;
            const int height = static_cast<int>(rows * (tile + 1) / tiles - row);
            for (int f = 0; f < count; ++f) {
                at[f] = factors[f];
                at[f].left += row * factors[f].left_row;
                at[f].panel += panel * factors[f].panel_step;
                if (!asks) continue;
                const std::int64_t next = panel + 1 < last_panel ? panel + 1 : first_panel;  // of the next step
                at[f].soon_step = P / tiles;
                at[f].soon = factors[f].panel + next * factors[f].panel_step + tile * factors[f].inner * at[f].soon_step;
            }
            const ProductTile<T> run = panels == 4         ? product_tile_of<T, 8, false>(height)
                                       : panels == 2       ? product_tile_of<T, 4, false>(height)
                                       : width <= lanes<T> ? product_tile_of<T, 1, false>(height)
                                       : asks              ? product_tile_of<T, 2, true>(height)
                                                           : product_tile_of<T, 2, false>(height);
            run(at, count, init ? init + row * init_row + column : nullptr, init_row, out + row * out_row + column,
                out_row, width, ahead);
        }
        panel += panels;
    }
}

}  // namespace steploom::STEPLOOM_ISA
