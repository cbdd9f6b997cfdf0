// The vectorised instruction set: one instruction over a tile of rows x columns at a time.
#pragma once

#include <algorithm>

#include "functions.hpp"
#include "opcodes.hpp"

namespace steploom::STEPLOOM_ISA {

// Values a tile holds at most: all its registers stay in the first-level cache.
constexpr int tile_values = 512;
// Values of a row times the rows that a run of passes and of stages on groups takes at a time.
constexpr int block_values = 2048;

template <class T> struct Tile {
    T* data;
    std::int64_t row;  // distance between rows; 0 where one row serves all
    bool shared;       // all columns share one value of a row
};

// With `Shared`, an input may have one value a row: it is put into a vector, which is then read again and again.
template <class T, bool Shared, class F>
inline void over(int rows, int columns, Tile<T> out, Tile<T> a, Tile<T> b, Tile<T> c, int inputs, F f) {
    constexpr int L = lanes<T>;
    const int whole = columns / L * L;
    const Part<T> rest(std::max(1, columns - whole));
    if constexpr (Shared) {
        const Tile<T> in[3] = {a, b, c};
        alignas(STEPLOOM_VECTOR_BYTES) T same[3][L];
        for (int r = 0; r < rows; ++r) {
            T* to = out.data + r * out.row;
            const T* from[3] = {};
            int moves[3] = {};
            for (int i = 0; i < inputs; ++i) {
                from[i] = in[i].data + r * in[i].row;
                moves[i] = in[i].shared ? 0 : -1;
                if (!in[i].shared) continue;
                store(same[i], broadcast<T>(*from[i]));
                from[i] = same[i];
            }
            const auto at = [&](int i, int j) { return from[i] + (j & moves[i]); };
            int j = 0;
#pragma GCC unroll 2
            for (; j < whole; j += L)
                store(to + j, f(load(at(0, j)), inputs > 1 ? load(at(1, j)) : V<T>{}, inputs > 2 ? load(at(2, j)) : V<T>{}));
            if (j < columns)
                rest.store(to + j, f(rest.load(at(0, j)), inputs > 1 ? rest.load(at(1, j)) : V<T>{},
                                     inputs > 2 ? rest.load(at(2, j)) : V<T>{}));
        }
        return;
    }
    for (int r = 0; r < rows; ++r) {
        T* to = out.data + r * out.row;
        const T *x = a.data + r * a.row, *y = b.data + r * b.row, *z = c.data + r * c.row;
        int j = 0;
#pragma GCC unroll 2
        for (; j < whole; j += L)
            store(to + j, f(load(x + j), inputs > 1 ? load(y + j) : V<T>{}, inputs > 2 ? load(z + j) : V<T>{}));
        if (j < columns)
            rest.store(to + j, f(rest.load(x + j), inputs > 1 ? rest.load(y + j) : V<T>{}, inputs > 2 ? rest.load(z + j) : V<T>{}));
    }
}

template <class T, bool Shared>
void run_op(Opcode code, int rows, int columns, Tile<T> out, Tile<T> a, Tile<T> b, Tile<T> c) {
    const V<T> one = broadcast<T>(1), zero{};
#define UNARY(NAME, ...)                                                                        \
    case Opcode::NAME:                                                                          \
        over<T, Shared>(rows, columns, out, a, a, a, 1, [=](V<T> x, V<T>, V<T>) -> V<T> { return __VA_ARGS__; }); \
        break;
#define BINARY(NAME, ...)                                                                         \
    case Opcode::NAME:                                                                            \
        over<T, Shared>(rows, columns, out, a, b, a, 2, [=](V<T> x, V<T> y, V<T>) -> V<T> { return __VA_ARGS__; }); \
        break;
#define TERNARY(NAME, ...)                                                                          \
    case Opcode::NAME:                                                                              \
        over<T, Shared>(rows, columns, out, a, b, c, 3, [=](V<T> x, V<T> y, V<T> z) -> V<T> { return __VA_ARGS__; }); \
        break;
    switch (code) {
        UNARY(copy, x)
        UNARY(neg, -x)
        UNARY(abs, absolute<T>(x))
        UNARY(sign, x > zero ? one : (x < zero ? -one : x))
        UNARY(exp, exponential<T>(x))
        UNARY(log, logarithm<T>(x))
        UNARY(sqrt, square_root<T>(x))
        UNARY(rsqrt, one / square_root<T>(x))
        UNARY(reciprocal, one / x)
        UNARY(sigmoid, sigmoid<T>(x))
        UNARY(tanh, tangent<T>(x))
        UNARY(relu, x < zero ? zero : x)
        UNARY(softplus, softplus<T>(x))
        UNARY(sin, sine<T>(x))
        UNARY(cos, cosine<T>(x))
        UNARY(erf, error_function(x))
        UNARY(atan, arc_tangent<T>(x))
        UNARY(log1p, logarithm_of_one_plus<T>(x))
        UNARY(expm1, exponential_less_one<T>(x))
        UNARY(floor, floor_of<T>(x))
        UNARY(square, x * x)
        BINARY(add, x + y)
        BINARY(sub, x - y)
        BINARY(mul, x * y)
        BINARY(div, x / y)
        BINARY(maximum, maximum<T>(x, y))
        BINARY(minimum, minimum<T>(x, y))
        BINARY(gt, x > y ? one : zero)
        BINARY(ge, x >= y ? one : zero)
        BINARY(lt, x < y ? one : zero)
        BINARY(le, x <= y ? one : zero)
        BINARY(eq, x == y ? one : zero)
        BINARY(ne, x != y ? one : zero)
        BINARY(sigmoid_grad, x * (y - y * y))
        BINARY(tanh_grad, x - x * (y * y))
        BINARY(relu_grad, y > zero ? x : zero)
        TERNARY(where, x != zero ? y : z)
        TERNARY(fma, x * y + z)
        TERNARY(submul, (x - y) * z)
        case Opcode::pow:
            for (int r = 0; r < rows; ++r)
                for (int j = 0; j < columns; ++j)
                    out.data[r * out.row + j] = std::pow(a.data[r * a.row + (a.shared ? 0 : j)], b.data[r * b.row + (b.shared ? 0 : j)]);
            break;
        case Opcode::expand:  // needs the place of the tile: stages.hpp
            break;
    }
#undef UNARY
#undef BINARY
#undef TERNARY
}

// Columns [first, first + columns) of a row in which `group` neighbours share each of `values`.
template <class T> void expand_row(T* out, const T* values, int first, int columns, int group) {
    constexpr int L = lanes<T>;
    for (int j = 0; j < columns;) {
        const int g = (first + j) / group, end = std::min(columns, (g + 1) * group - first);
        const V<T> value = broadcast(values[g]);
        for (; j + L <= end; j += L) store(out + j, value);
        if (j < end) store_part(out + j, value, end - j);
        j = end;
    }
}

}  // namespace steploom::STEPLOOM_ISA
