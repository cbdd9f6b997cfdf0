// The order of a row's columns and columns by an index, in each of its groups. An index is a whole number held as any other.
#pragma once

#include <algorithm>
#include <limits>

#include "schedule.hpp"

namespace steploom::STEPLOOM_ISA {

// Equal values keep their order, and what is not a number is the largest.
template <class T> void argsort(T* out, const T* values, int n, bool descending) {
    for (int j = 0; j < n; ++j) out[j] = static_cast<T>(j);
    const auto less = [](T a, T b) { return b != b ? a == a : a < b; };
    std::sort(out, out + n, [=](T i, T j) {
        const T a = values[static_cast<int>(i)], b = values[static_cast<int>(j)];
        if (descending ? less(b, a) : less(a, b)) return true;
        return !(descending ? less(a, b) : less(b, a)) && i < j;
    });
}

template <class T> bool names_one_of(T index, int n) { return index >= 0 && index < static_cast<T>(n); }

// Not a number where the index names no column.
template <class T> void take_along(T* out, const T* values, const T* index, int n, int count) {
    for (int j = 0; j < count; ++j)
        out[j] = names_one_of(index[j], n) ? values[static_cast<int>(index[j])] : std::numeric_limits<T>::quiet_NaN();
}

template <class T> void put_along(T* out, const T* index, const T* values, int n, int count, bool last) {
    std::fill_n(out, n, T(0));
    for (int j = 0; j < count; ++j) {
        if (!names_one_of(index[j], n)) continue;
        T& to = out[static_cast<int>(index[j])];
        to = last ? values[j] : to + values[j];
    }
}

template <class T> void along(T* out, const T* a, const T* b, StageKind kind, const AlongSizes& s, int groups) {
    for (int g = 0; g < groups; ++g) {
        if (kind == StageKind::Argsort) argsort(out + g * s.n, a + g * s.n, s.n, s.descending);
        else if (kind == StageKind::TakeAlong) take_along(out + g * s.count, a + g * s.n, b + g * s.count, s.n, s.count);
        else put_along(out + g * s.n, a + g * s.count, b + g * s.count, s.n, s.count, s.last);
    }
}

}  // namespace steploom::STEPLOOM_ISA
