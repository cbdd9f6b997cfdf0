// Sums the gradients of weights and vectors over the rows of a chunk.
#pragma once

#include "call.hpp"

namespace steploom::STEPLOOM_ISA {

template <class T> void Run<T>::gradients(int thread, int count, Index first, Index last, bool begins) {
    for (std::size_t i = 0; i < slices.size(); ++i) {
        Member<T>& at = readers[thread];
        at.slice = &slices[i];
        const Index rows = parts[i].offset[last] - parts[i].offset[first];
        place_chunk(at, first);
        for (const WeightGradient& g : s.weight_gradients) {
            const MatrixView& m = c.matrices[g.matrix];
            if (!m.gradient) continue;
            if (shared_gradients) all_barrier->wait();
            const T *grad = find(at, g.grad), *left = find(at, g.left);
            const Index grad_row = row_of(at, g.grad), left_row = row_of(at, g.left);
            T* to = static_cast<T*>(m.gradient);
            const bool add = !(g.fresh && begins && i == 0);
            if (m.gradient_column_stride == 1 && g.k >= lanes<T>) {
                const int n0 = g.n * thread / count, n1 = g.n * (thread + 1) / count;
                outer(rows, grad + n0, grad_row, n1 - n0, left, left_row, g.k, to + n0 * m.gradient_row_stride, m.gradient_row_stride, add);
            } else if (m.gradient_row_stride == 1 && m.gradient_column_stride >= g.n) {
                const int k0 = g.k * thread / count, k1 = g.k * (thread + 1) / count;
                outer(rows, left + k0, left_row, k1 - k0, grad, grad_row, g.n, to + k0 * m.gradient_column_stride, m.gradient_column_stride, add);
            } else {
                // Few columns, or strides of neither kind: sum the other way round in blocks, then add them in place.
                constexpr int block = panel_columns<T>;
                alignas(64) T sum[most_rows * block];
                const int blocks = (g.n + block - 1) / block;
                for (int n = blocks * thread / count * block; n < std::min(g.n, blocks * (thread + 1) / count * block); n += block)
                    for (int k = 0; k < g.k; k += most_rows) {
                        const int width = std::min(block, g.n - n), height = std::min(most_rows, g.k - k);
                        outer(rows, left + k, left_row, height, grad + n, grad_row, width, sum, block, false);
                        for (int a = 0; a < height; ++a)
                            for (int b = 0; b < width; ++b) {
                                T& there = to[(n + b) * m.gradient_row_stride + (k + a) * m.gradient_column_stride];
                                there = sum[a * block + b] + (add ? there : T(0));
                            }
                    }
            }
        }
        for (const VectorGradient& g : s.vector_gradients) {
            T* to = static_cast<T*>(c.vector_gradients[g.vector]);
            if (!to) continue;
            if (shared_gradients) all_barrier->wait();
            to += g.column;
            const T* value = find(at, g.value);
            const Index row = row_of(at, g.value);
            const int n0 = g.width * thread / count, n1 = g.width * (thread + 1) / count;
            if (g.fresh && begins && i == 0) std::fill(to + n0, to + n1, T(0));
            for (Index r = 0; r < rows; ++r)
                for (int n = n0; n < n1; ++n) to[n] += value[r * row + n];
        }
    }
}

}  // namespace steploom::STEPLOOM_ISA
