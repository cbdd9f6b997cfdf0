// What treats a row as matrices that a state holds: columns in another order, and products of two matrices.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "groups.hpp"
#include "schedule.hpp"

namespace steploom::STEPLOOM_ISA {

template <class T> void reorder(T* out, const T* from, const std::vector<Stretch>& stretches) {
    for (const Stretch& s : stretches) {
        const T* const first = from + s.first;
        if (s.first < 0) {
            std::fill_n(out, s.count, T(0));
        } else if (s.step == 1) {
            write_each(out, s.count, [=](int j, auto read) { return read(first + j); });
        } else {
            for (int j = 0; j < s.count; ++j) out[j] = first[j * s.step];
        }
        out += s.count;
    }
}

// The left side of a product of matrices: its rows and its columns are so far apart.
template <class T> struct Left {
    const T* data;
    int row, column;
};

// R rows of the product, m columns of each: C vectors of them at a time, then one, then what is left.
template <class T, int R, int C> void matmul_rows(T* out, Left<T> a, const T* b, int k, int m) {
    constexpr int L = lanes<T>;
    const auto tile = [&](auto vectors, int j, auto read, auto write) {
        constexpr int count = decltype(vectors)::value;
        V<T> sum[R][count]{};
        for (int i = 0; i < k; ++i) {
            V<T> right[count];
            for (int c = 0; c < count; ++c) right[c] = read(b + i * m + j + c * L);
            for (int r = 0; r < R; ++r) {
                const V<T> left = broadcast<T>(a.data[r * a.row + i * a.column]);
                for (int c = 0; c < count; ++c) sum[r][c] += left * right[c];
            }
        }
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < count; ++c) write(out + r * m + j + c * L, sum[r][c]);
    };
    const auto whole = [](const T* p) { return load(p); };
    const auto put = [](T* p, V<T> value) { store(p, value); };
    int j = 0;
    for (; j + C * L <= m; j += C * L) tile(std::integral_constant<int, C>{}, j, whole, put);
    for (; j + L <= m; j += L) tile(std::integral_constant<int, 1>{}, j, whole, put);
    if (j == m) return;
    const Part<T> rest(m - j);
    const auto part = [&](const T* p) { return rest.load(p); };
    tile(std::integral_constant<int, 1>{}, j, part, [&](T* p, V<T> value) { rest.store(p, value); });
}

// `groups` products one after the other.
template <class T> void matmul(T* out, const T* left, const T* right, const MatmulSizes& s, int groups) {
    const auto [n, k, m, left_transposed, right_transposed] = s;
    const int row = left_transposed ? 1 : k, column = left_transposed ? n : 1;
    for (int g = 0; g < groups; ++g, left += n * k, right += k * m, out += n * m) {
        if (right_transposed) {
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < m; ++j) out[i * m + j] = dot(left + i * k, right + j * k, k);
            continue;
        }
        int i = 0;
        for (; i + 4 <= n; i += 4) matmul_rows<T, 4, 2>(out + i * m, {left + i * row, row, column}, right, k, m);
        for (; i < n; ++i) matmul_rows<T, 1, 4>(out + i * m, {left + i * row, row, column}, right, k, m);
    }
}

}  // namespace steploom::STEPLOOM_ISA
