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

// Panels [first, last) of a matrix (columns x inner) with the given strides; columns beyond the matrix are 0.
template <class T>
void pack(const T* matrix, std::int64_t column_stride, std::int64_t inner_stride, int columns, int inner, T* panels,
          int first, int last) {
    constexpr int P = panel_columns<T>, L = lanes<T>;
    for (int panel = first; panel < last; ++panel) {
        T* out = panels + static_cast<std::int64_t>(panel) * P * inner;
        const int width = std::min(P, columns - panel * P);
        const T* from = matrix + panel * P * column_stride;
        for (int half = 0; half < P; half += L) {
            const int here = std::clamp(width - half, 0, L);
            const T* source = from + half * column_stride;
            int k = 0;
            // The hardware does not guess so many streams, so what is read later is asked for.
            if (here == L && column_stride == 1) {
                for (; k < inner; ++k) {
                    __builtin_prefetch(source + (k + 16) * inner_stride);
                    store(out + k * P + half, load(source + k * inner_stride));
                }
            } else if (here == L && inner_stride == 1) {
                for (; k + L <= inner; k += L) {
                    const int later = k + 4 * L;
                    const T* next = later < inner ? source + later : source + L * column_stride + (later - inner);
                    V<T> square[L];
                    for (int n = 0; n < L; ++n) {
                        __builtin_prefetch(next + n * column_stride);
                        square[n] = load(source + n * column_stride + k);
                    }
                    transpose<T>(square);
                    for (int j = 0; j < L; ++j) store(out + (k + j) * P + half, square[j]);
                }
            }
            for (; k < inner; ++k)
                for (int n = 0; n < L; ++n)
                    out[k * P + half + n] = n < here ? source[n * column_stride + k * inner_stride] : T(0);
        }
    }
}

}  // namespace steploom::STEPLOOM_ISA
