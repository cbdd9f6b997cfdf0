// What treats a group of neighbouring columns as one: sums, norms and their like, a row at a time.
#pragma once

#include <cmath>

#include "vector.hpp"

namespace steploom::STEPLOOM_ISA {

template <class T> T largest(const T* values, int count) {  // NaN where there is one
    T result = values[0];
    for (int j = 1; j < count; ++j) result = values[j] > result || values[j] != values[j] ? values[j] : result;
    return result;
}

// The sum of f(vector at j, part or whole) over `count` columns. Four sums at once: an addition waits for the one before.
template <class T, class F> T sum_of(int count, F f) {
    constexpr int L = lanes<T>;
    V<T> sum[4]{};
    int j = 0;
    for (; j + 4 * L <= count; j += 4 * L)
        for (int i = 0; i < 4; ++i) sum[i] += f(j + i * L, [](const T* p) { return load(p); });
    for (; j + L <= count; j += L) sum[0] += f(j, [](const T* p) { return load(p); });
    if (j < count) {
        // f may make something of the 0 that a part has beyond its end.
        const Part<T> rest(count - j);
        T kept[L];
        store(kept, f(j, [&](const T* p) { return rest.load(p); }));
        sum[1] += rest.load(kept);
    }
    return sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <class T> T sum(const T* values, int count) {
    return sum_of<T>(count, [=](int j, auto read) { return read(values + j); });
}

template <class T> T dot(const T* values, const T* others, int count) {
    return sum_of<T>(count, [=](int j, auto read) { return read(values + j) * read(others + j); });
}

// Two passes: the squares are of what is left without the mean.
template <class T> void moments(const T* values, int count, T epsilon, T& mean, T& inverse_deviation) {
    mean = sum(values, count) / count;
    const V<T> middle = broadcast<T>(mean);
    const T squares = sum_of<T>(count, [=](int j, auto read) {
        const V<T> away = read(values + j) - middle;
        return away * away;
    });
    inverse_deviation = 1 / std::sqrt(squares / count + epsilon);
}

// out[j] = f(j, read), with `read` for a whole vector or for the part that is left at the end.
template <class T, class F> void write_each(T* out, int count, F f) {
    constexpr int L = lanes<T>;
    int j = 0;
#pragma GCC unroll 4
    for (; j + L <= count; j += L) store(out + j, f(j, [](const T* p) { return load(p); }));
    if (j == count) return;
    const Part<T> rest(count - j);
    rest.store(out + j, f(j, [&](const T* p) { return rest.load(p); }));
}

// (values - mean) * inverse_deviation
template <class T> void standardize(T* out, const T* values, int count, T mean, T inverse_deviation) {
    const V<T> middle = broadcast<T>(mean), scale = broadcast<T>(inverse_deviation);
    write_each(out, count, [=](int j, auto read) { return (read(values + j) - middle) * scale; });
}

// The gradient of what was standardized to `values`: inverse_deviation * (g - mean(g) - values * mean(g * values)), where
// gradient(j, read) gives g.
template <class T, class F> void standardize_grad(T* out, F gradient, const T* values, int count, T inverse_deviation) {
    constexpr int L = lanes<T>;
    V<T> sums[2]{}, dots[2]{};
    const auto add = [&](int i, int j, auto read) {
        const V<T> g = gradient(j, read);
        sums[i] += g;
        dots[i] += g * read(values + j);
    };
    const auto whole = [](const T* p) { return load(p); };
    int j = 0;
    for (; j + 2 * L <= count; j += 2 * L) add(0, j, whole), add(1, j + L, whole);
    for (; j + L <= count; j += L) add(0, j, whole);
    if (j < count) {
        const Part<T> rest(count - j);
        add(1, j, [&](const T* p) { return rest.load(p); });
    }
    const T share = -inverse_deviation / count;
    const V<T> shift = broadcast<T>(share * sum_lanes<T>(sums[0] + sums[1]));
    const V<T> along = broadcast<T>(share * sum_lanes<T>(dots[0] + dots[1]));
    const V<T> scale = broadcast<T>(inverse_deviation);
    write_each(out, count, [=](int k, auto read) { return read(values + k) * along + (gradient(k, read) * scale + shift); });
}

// As above, of g, or of g * by where there is such a vector.
template <class T> void standardize_grad(T* out, const T* g, const T* by, const T* values, int count, T inverse_deviation) {
    if (by) standardize_grad(out, [=](int j, auto read) { return read(g + j) * read(by + j); }, values, count, inverse_deviation);
    else standardize_grad(out, [=](int j, auto read) { return read(g + j); }, values, count, inverse_deviation);
}

}  // namespace steploom::STEPLOOM_ISA
