// Sums the gradients of weights over the rows of a chunk, and those of vectors there or at each step.
//
// Either the threads divide each gradient among them and read the rows of all slices, or each thread sums over the rows of
// its own slice, the first in the place of the gradient and the others in sums of their own, which are added up at the end.
// The second way little passes from one processor's cache to another's, and vectors need not wait for the chunk's end.
#pragma once

#include "call.hpp"
#include "outer.hpp"

namespace steploom::STEPLOOM_ISA {

constexpr Index summed_rows = 8;  // at a time; where no step has so many, sums of vectors wait for the end of the chunk

// to[n] += sum over rows r of f(r, n), so many rows at a time: `to` is read and written as often as that.
template <class T, class F> void add_rows(Index rows, int columns, T* to, F f) {
    constexpr int L = lanes<T>;
    const auto whole = [](const T* p) { return load(p); };
    const auto add = [&](Index r, Index height) {
        int n = 0;
        for (; n + L <= columns; n += L) {
            V<T> sum = load(to + n);
            for (Index i = 0; i < height; ++i) sum += f(r + i, n, whole);
            store(to + n, sum);
        }
        if (n == columns) return;
        const Part<T> rest(columns - n);
        V<T> sum = rest.load(to + n);
        for (Index i = 0; i < height; ++i) sum += f(r + i, n, [&](const T* p) { return rest.load(p); });
        rest.store(to + n, sum);
    };
    Index r = 0;
    for (; r + summed_rows <= rows; r += summed_rows) add(r, summed_rows);
    for (; r < rows; ++r) add(r, 1);
}

// Threads divide each gradient by its own shape: where two lie in the same memory, one waits for the other.
template <class T> void Run<T>::find_shared_gradients() {
    std::vector<std::pair<const T*, const T*>> ranges;
    const auto add_range = [&](const T* first, Index size) {
        for (const auto& [begin, end] : ranges) shared_gradients |= first < end && begin < first + size;
        ranges.emplace_back(first, first + size);
    };
    for (const WeightGradient& g : s.weight_gradients) {
        const MatrixView& m = c.matrices[g.matrix];
        if (m.gradient)
            add_range(static_cast<const T*>(m.gradient),
                      (g.n - 1) * m.gradient_row_stride + (g.k - 1) * m.gradient_column_stride + 1);
    }
    for (const VectorGradient& g : s.vector_gradients)
        if (c.vector_gradients[g.vector]) add_range(static_cast<const T*>(c.vector_gradients[g.vector]) + g.column, g.width);
}

// Where threads divide the gradients, each reads what all rows of the others leave: rows x (n + k) of a matrix n x k. Where
// each has sums of its own, these are read and written at the end: 2 n k. The less is done, while a thread's sums stay
// small.
template <class T> void Run<T>::choose_sums() {
    Index rows = 0, of_rows = 0, of_sums = 0;
    for (const Slice& part : parts) rows = std::max(rows, part.offset.back());
    for (const WeightGradient& g : s.weight_gradients) of_rows += rows * (g.n + g.k), of_sums += 2 * Index{g.n} * g.k;
    constexpr Index most = Index{16} << 20;  // bytes of a thread
    own_sums = c.slices > 1 && !shared_gradients && of_sums < of_rows && of_sums / 2 * static_cast<Index>(sizeof(T)) <= most;
    if (!own_sums) return;
    for (const WeightGradient& g : s.weight_gradients) {
        const MatrixView& m = c.matrices[g.matrix];
        // Laid out as the gradient is, so that the same kind of sum is made in both.
        const bool turned = m.gradient_column_stride != 1 && m.gradient_row_stride == 1;
        OwnSum<T> own;
        own.size = m.gradient ? turned ? padded(g.n) * g.k : padded(g.k) * g.n : 0;
        own.row_stride = turned ? 1 : padded(g.k), own.column_stride = turned ? padded(g.n) : 1;
        weight_sums.push_back(own);
    }
    for (const VectorGradient& g : s.vector_gradients) {
        OwnSum<T> own;
        own.size = padded(g.width), own.row_stride = g.width, own.column_stride = 1;
        vector_sums.push_back(own);
    }
}

// Where threads do not divide a gradient of a vector, it is summed up at each step, while what it reads is near. What is
// made for a whole chunk after its steps is not there yet, and few rows do not pay for reading and writing the sums.
template <class T> void Run<T>::choose_summed_in_steps() {
    const bool alone = own_sums || (threads == 1 && !shared_gradients);
    std::vector<char> late(s.buffers.size(), 0);
    const auto is_late = [&](const Operand& o) { return o.where == Where::Buffer && late[o.index]; };
    for (const Stage& stage : s.after) {
        if (stage.out.where == Where::Buffer) late[stage.out.index] = 1;
        for (const ElementOp& op : stage.ops)
            if (op.out.where == Where::Buffer) late[op.out.index] = 1;
    }
    for (const VectorGradient& g : s.vector_gradients)
        summed_in_steps.push_back(alone && step_rows() >= summed_rows && !is_late(g.value) && !is_late(g.by) && c.vector_gradients[g.vector]);
}

// A thread's sum of a gradient of a vector.
template <class T> SumPlace<T> Run<T>::sum_of(std::size_t i, int thread) const {
    const VectorGradient& g = s.vector_gradients[i];
    if (own_sums && thread) return vector_sums[i].of(thread);
    return {static_cast<T*>(c.vector_gradients[g.vector]) + g.column, g.width, 1};
}

template <class T> void Run<T>::clear_sums_of_steps(int thread) {
    for (std::size_t i = 0; i < s.vector_gradients.size(); ++i) {
        const VectorGradient& g = s.vector_gradients[i];
        if (!summed_in_steps[i] || !((own_sums && thread) || (g.fresh && !c.adds))) continue;
        T* const to = sum_of(i, thread).data;
        std::fill(to, to + g.width, T(0));
    }
}

// The sums of a step, with the buffers of `m` where they are at it.
template <class T> void Run<T>::sum_step(const Member<T>& m, Index rows) const {
    const int thread = static_cast<int>(&m - members.data());
    for (Index r = 0; r < rows; r += summed_rows)
        for (std::size_t i = 0; i < s.vector_gradients.size(); ++i)
            if (summed_in_steps[i])
                vector_gradient(s.vector_gradients[i], m, r, std::min(rows, r + summed_rows), sum_of(i, thread).data, {0, 1}, true);
}

// What the thread sums up in this chunk. `begins`: it is the first chunk.
template <class T> void Run<T>::gradients(int thread, Index first, Index last, bool begins) {
    for (std::size_t i = 0; i < slices.size(); ++i) {
        if (own_sums && static_cast<int>(i) != thread) continue;
        Member<T>& at = readers[thread];
        at.slice = &slices[i];
        const Index rows = parts[i].offset[last] - parts[i].offset[first];
        place_chunk(at, first);
        const bool fresh = begins && (own_sums || i == 0);
        const bool writes = fresh && !c.adds;
        const Share share = own_sums ? Share{0, 1} : Share{thread, threads};
        SumsOfLeft<T> sums;
        for (std::size_t k = 0; k < s.weight_gradients.size(); ++k) {
            const WeightGradient& g = s.weight_gradients[k];
            const MatrixView& m = c.matrices[g.matrix];
            if (!m.gradient) continue;
            if (shared_gradients) {  // one after the other
                sums.finish();
                all_barrier->wait(thread);
            }
            if (own_sums && thread) weight_gradient(g, at, rows, weight_sums[k].of(thread), share, !fresh, sums);
            else weight_gradient(g, at, rows, place_of(m), share, !(g.fresh && writes), sums);
        }
        sums.finish();
        // One block of rows after the other: several sums read the same values. Without rows, what is fresh is cleared.
        const Index block = shared_gradients ? std::max<Index>(1, rows) : summed_rows;
        for (Index r = 0; r == 0 || r < rows; r += block)
            for (std::size_t k = 0; k < s.vector_gradients.size(); ++k) {
                const VectorGradient& g = s.vector_gradients[k];
                if (!c.vector_gradients[g.vector] || summed_in_steps[k]) continue;
                if (shared_gradients) all_barrier->wait(thread);
                const bool add = r > 0 || !(own_sums && thread ? fresh : g.fresh && writes);
                vector_gradient(g, at, r, std::min(rows, r + block), sum_of(k, thread).data, share, add);
            }
    }
}

template <class T>
void Run<T>::weight_gradient(const WeightGradient& g, const Member<T>& at, Index rows, SumPlace<T> to, Share share, bool add, SumsOfLeft<T>& sums) {
    const T *grad = find(at, g.grad), *left = find(at, g.left);
    const Index grad_row = row_of(at, g.grad), left_row = row_of(at, g.left);
    const auto [place, count] = share;
    // out (+)= sum over r of a[r, 0:height] * b[r, 0:width]
    const auto sum = [&](const T* a, Index a_row, int height, const T* b, Index b_row, int width, T* out, Index out_row) {
        if constexpr (has_digits<T>)
            if (digits_of_gradient(rows, height, width)) {
                const Index pieces = (rows + most_summed_digits - 1) / most_summed_digits;
                for (Index i = 0; i < pieces; ++i) {
                    const Index first = rows * i / pieces, many = rows * (i + 1) / pieces - first;
                    digit_outer(many, a + first * a_row, a_row, height, b + first * b_row, b_row, width, out, out_row, add || i, at.outer);
                }
                return;
            }
        sums.add(rows, a, a_row, height, {b, b_row, width, out, out_row, add}, at.outer);
    };
    if (to.column_stride == 1 && g.k >= lanes<T>) {
        const int n0 = g.n * place / count, n1 = g.n * (place + 1) / count;
        sum(grad + n0, grad_row, n1 - n0, left, left_row, g.k, to.data + n0 * to.row_stride, to.row_stride);
    } else if (to.row_stride == 1 && to.column_stride >= g.n) {
        const int k0 = g.k * place / count, k1 = g.k * (place + 1) / count;
        sum(left + k0, left_row, k1 - k0, grad, grad_row, g.n, to.data + k0 * to.column_stride, to.column_stride);
    } else {
        // Few columns, or strides of neither kind: sum the other way round in blocks, then add them in place.
        constexpr int block = panel_columns<T>;
        constexpr int most = most_outer_rows<2>;
        alignas(64) T sum[most * block];
        const int blocks = (g.n + block - 1) / block;
        for (int n = blocks * place / count * block; n < std::min(g.n, blocks * (place + 1) / count * block); n += block)
            for (int k = 0; k < g.k; k += most) {
                const int width = std::min(block, g.n - n), height = std::min(most, g.k - k);
                const Right<T> right{grad + n, grad_row, width, sum, block, false};
                outer(rows, left + k, left_row, height, &right, 1, static_cast<T*>(nullptr));
                for (int a = 0; a < height; ++a)
                    for (int b = 0; b < width; ++b) {
                        T& there = to.data[(n + b) * to.row_stride + (k + a) * to.column_stride];
                        there = sum[a * block + b] + (add ? there : T(0));
                    }
            }
    }
}

template <class T>
void Run<T>::vector_gradient(const VectorGradient& g, const Member<T>& at, Index first, Index last, T* to, Share share, bool add) const {
    const int n0 = g.width * share.place / share.count, columns = g.width * (share.place + 1) / share.count - n0;
    to += n0;
    if (!add) std::fill(to, to + columns, T(0));
    const Index row = row_of(at, g.value), by_row = row_of(at, g.by);
    const T *value = find(at, g.value) + first * row + n0, *by = find(at, g.by);
    if (!by) return add_rows(last - first, columns, to, [=](Index r, int n, auto read) { return read(value + r * row + n); });
    by += first * by_row + n0;
    add_rows(last - first, columns, to, [=](Index r, int n, auto read) { return read(value + r * row + n) * read(by + r * by_row + n); });
}

// Adds the threads' own sums up, each thread a share of them.
template <class T> void Run<T>::join_sums(int thread) const {
    const auto join = [&](SumPlace<T> to, const OwnSum<T>& own, int rows, int columns) {
        // The inner loop runs along neighbours.
        const bool turned = own.column_stride != 1;
        const Index from_row = turned ? own.column_stride : own.row_stride;
        if (turned) std::swap(rows, columns), std::swap(to.row_stride, to.column_stride);
        for (int other = 1; other < threads; ++other)
            for (int i = rows * thread / threads; i < rows * (thread + 1) / threads; ++i) {
                T* const row = to.data + i * to.row_stride;
                const T* const values = own.of(other).data + i * from_row;
                if (to.column_stride == 1)
                    for (int j = 0; j < columns; ++j) row[j] += values[j];
                else
                    for (int j = 0; j < columns; ++j) row[j * to.column_stride] += values[j];
            }
    };
    for (std::size_t i = 0; i < s.weight_gradients.size(); ++i) {
        const WeightGradient& g = s.weight_gradients[i];
        const MatrixView& m = c.matrices[g.matrix];
        if (m.gradient) join(place_of(m), weight_sums[i], g.n, g.k);
    }
    for (std::size_t i = 0; i < s.vector_gradients.size(); ++i) {
        const VectorGradient& g = s.vector_gradients[i];
        T* to = static_cast<T*>(c.vector_gradients[g.vector]);
        if (to) join({to + g.column, g.width, 1}, vector_sums[i], 1, g.width);
    }
}

}  // namespace steploom::STEPLOOM_ISA
