// Weights laid out in panels, as the products read them.
#pragma once

#include <algorithm>
#include <utility>

#include "vector.hpp"

namespace steploom::STEPLOOM_ISA {

// Columns of a panel: two vectors. Within a panel the weights stand in the order in which the product reads them.
template <class T> constexpr int panel_columns = 2 * lanes<T>;

// Element (i, j) of a square of vectors to (j, i), in steps that swap squares of half, a quarter, ... of the size.
template <class T, int D, int... J>
inline void swap_lanes(V<T>& a, V<T>& b, std::integer_sequence<int, J...>) {
    constexpr int L = lanes<T>;
    const V<T> x = __builtin_shufflevector(a, b, (J & D ? L + J - D : J)...);
    b = __builtin_shufflevector(a, b, (J & D ? L + J : J + D)...);
    a = x;
}
template <class T, int D = lanes<T> / 2> inline void transpose(V<T>* rows) {
    if constexpr (D >= 1) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes<T>; ++i)
            if (!(i & D)) swap_lanes<T, D>(rows[i], rows[i + D], std::make_integer_sequence<int, lanes<T>>{});
        transpose<T, D / 2>(rows);
    }
}

// As `pack`, of whole panels whose columns are neighbours in the matrix: a row of some panels at a time, since what lies side
// by side comes from memory together.
template <class T>
void pack_rows(const T* matrix, std::int64_t inner_stride, int inner, T* panels, int first, int last) {
    constexpr int P = panel_columns<T>, L = lanes<T>, most = 4, early = 8;
    for (int panel = first; panel < last; panel += most) {
        const int count = std::min(most, last - panel);
        const T* row = matrix + panel * P;
        T* out = panels + static_cast<std::int64_t>(panel) * P * inner;
        for (int k = 0; k < inner; ++k, row += inner_stride, out += P)
            for (int i = 0; i < count; ++i)
                for (int half = 0; half < P; half += L) {
                    __builtin_prefetch(row + early * inner_stride + i * P + half);
                    store(out + static_cast<std::int64_t>(i) * P * inner + half, load(row + i * P + half));
                }
    }
}

// Panels [first, last) of a matrix (columns x inner) with the given strides; columns beyond the matrix are 0.
template <class T>
void pack(const T* matrix, std::int64_t column_stride, std::int64_t inner_stride, int columns, int inner, T* panels,
          int first, int last) {
    constexpr int P = panel_columns<T>, L = lanes<T>;
    if (column_stride == 1) {
        const int whole = std::clamp(columns / P, first, last);
        pack_rows(matrix, inner_stride, inner, panels, first, whole);
        first = whole;
    }
    for (int panel = first; panel < last; ++panel) {
        T* out = panels + static_cast<std::int64_t>(panel) * P * inner;
        const int width = std::min(P, columns - panel * P);
        const T* from = matrix + panel * P * column_stride;
        for (int half = 0; half < P; half += L) {
            const int here = std::clamp(width - half, 0, L);
            const T* source = from + half * column_stride;
            int k = 0;
            // The hardware does not guess so many streams, so what is read and written later is asked for.
            if (here == L && inner_stride == 1) {
                for (; k + L <= inner; k += L) {
                    const int later = k + 4 * L;
                    const T* next = later < inner ? source + later : source + L * column_stride + (later - inner);
                    V<T> square[L];
                    for (int n = 0; n < L; ++n) {
                        __builtin_prefetch(next + n * column_stride);
                        __builtin_prefetch(out + (k + L + n) * P + half, 1);
                        square[n] = load(source + n * column_stride + k);
                    }
                    transpose<T>(square);
                    for (int j = 0; j < L; ++j) store(out + (k + j) * P + half, square[j]);
                }
            }
            for (; k < inner; ++k) {
                if (column_stride == 1 && here) store(out + k * P + half, load_part(source + k * inner_stride, here));
                else
                    for (int n = 0; n < L; ++n)
                        out[k * P + half + n] = n < here ? source[n * column_stride + k * inner_stride] : T(0);
            }
        }
    }
}

}  // namespace steploom::STEPLOOM_ISA
