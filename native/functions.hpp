// Elementary functions of whole vectors, to a few units in the last place; sines far from 0, to some of 1.
#pragma once

#include "vector.hpp"

namespace steploom::STEPLOOM_ISA {

// A scalar function of the C library.
template <class T, class F> inline V<T> each(V<T> x, F f) {
    for (int i = 0; i < lanes<T>; ++i) x[i] = f(x[i]);
    return x;
}

template <class T> struct ExpConstants;
template <> struct ExpConstants<float> {
    static constexpr float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    static constexpr float top = 88.72f, bottom = -86.9f;  // where e^x leaves what T can hold
    static constexpr float safe = 87.0f;                  // up to here, 2^n itself is a number of T
    static constexpr int mantissa = 23, bias = 127, terms = 7;
};
template <> struct ExpConstants<double> {
    static constexpr double log2e = 1.4426950408889634, ln2_high = 0.69314718036912382, ln2_low = 1.9082149292705877e-10;
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double top = 709.78, bottom = -708.0;
    static constexpr double safe = 708.0;
    static constexpr int mantissa = 52, bias = 1023, terms = 13;
};

// e^x - 1 = p * s + (s - 1) and e^x = p * s + s, with s = 2^n and p = e^r - 1 for |r| <= ln(2) / 2: neither loses
// digits near 0. With `less`, s = 2^(n - less).
template <class T> struct Reduced {
    V<T> p, s;
};

template <class T> inline Reduced<T> reduce_exp(V<T> x, int less = 0) {
    using C = ExpConstants<T>;
    using I = typename Vectors<T>::I;
    const V<T> shifted = x * broadcast<T>(C::log2e) + broadcast<T>(C::magic);
    const V<T> n = shifted - broadcast<T>(C::magic);
    V<T> r = x - n * broadcast<T>(C::ln2_high);
    r = r - n * broadcast<T>(C::ln2_low);
    // Taylor's series 1 + r/2! + r^2/3! + ..., times r. The coefficients are made by the compiler.
    T coefficient = 1;
    for (int k = 2; k <= C::terms; ++k) coefficient /= k;
    V<T> p = broadcast<T>(coefficient);
#pragma GCC unroll 16
    for (int k = C::terms - 1; k >= 1; --k) {
        T next = 1;
        for (int j = 2; j <= k; ++j) next /= j;
        p = p * r + broadcast<T>(next);
    }
    const I integer = (I)shifted - (I)broadcast<T>(C::magic);
    return {p * r, (V<T>)((integer + (C::bias - less)) << C::mantissa)};
}

template <class T> inline V<T> clamp(V<T> x, T bottom, T top) {  // NaN stays
    x = x > broadcast<T>(top) ? broadcast<T>(top) : x;
    return x < broadcast<T>(bottom) ? broadcast<T>(bottom) : x;
}

// The largest results need 2^n just above the range of T: half of it is taken, and the sum doubled.
template <class T> inline V<T> exponential(V<T> x) {
    using C = ExpConstants<T>;
    const Reduced<T> e = reduce_exp<T>(clamp<T>(x, C::bottom, C::top), 1);
    V<T> y = (e.p * e.s + e.s) * broadcast<T>(2);
    y = x > broadcast<T>(C::top) ? broadcast<T>(std::numeric_limits<T>::infinity()) : y;
    return x < broadcast<T>(C::bottom) ? V<T>{} : y;
}

template <class T> inline V<T> sigmoid(V<T> x) {  // the clamp changes nothing that T can tell from 0 or 1
    const Reduced<T> e = reduce_exp<T>(clamp<T>(-x, -ExpConstants<T>::safe, ExpConstants<T>::safe));
    return broadcast<T>(1) / (e.p * e.s + (e.s + broadcast<T>(1)));
}

template <class T> inline V<T> tangent(V<T> x) {  // hyperbolic
    const V<T> limit = broadcast<T>(sizeof(T) == 4 ? T(20) : T(44));
    V<T> size = absolute<T>(x) * broadcast<T>(2);
    size = size > limit ? limit : size;
    const Reduced<T> e = reduce_exp<T>(size);
    const V<T> less = e.p * e.s + (e.s - broadcast<T>(1));
    return with_sign_of<T>(less / (less + broadcast<T>(2)), x);
}

// e^x - 1, where that is near 0 too.
template <class T> inline V<T> exponential_less_one(V<T> x) {
    using C = ExpConstants<T>;
    const Reduced<T> e = reduce_exp<T>(clamp<T>(x, C::bottom, C::top), 1);
    const V<T> y = with_sign_of<T>((e.p * e.s + (e.s - broadcast<T>(T(0.5)))) * broadcast<T>(2), x);
    return x > broadcast<T>(C::top) ? broadcast<T>(std::numeric_limits<T>::infinity()) : y;
}

// x = 2^k * (1 + f) with 1 + f between the roots of 1/2 and 2; log(1 + f) = 2 * atanh(s) with s = f / (2 + f), of which
// 2 * s = f - s * f. Numbers too small for a full mantissa count as 0.
template <class T> inline V<T> logarithm(V<T> x) {
    using C = ExpConstants<T>;
    using I = typename Vectors<T>::I;
    using Limits = std::numeric_limits<T>;
    constexpr int terms = sizeof(T) == 4 ? 4 : 10;
    const I root = (I)broadcast<T>(T(0.70710678118654752));
    const I bits = (I)(x > V<T>{} ? x : broadcast<T>(1));  // what has no logarithm is seen to below
    const I k = (bits - root) >> C::mantissa;
    const V<T> f = (V<T>)(bits - (k << C::mantissa)) - broadcast<T>(1), s = f / (f + broadcast<T>(2)), z = s * s;
    V<T> p = broadcast<T>(T(2) / (2 * terms + 1));
#pragma GCC unroll 16
    for (int n = terms - 1; n >= 1; --n) p = p * z + broadcast<T>(T(2) / (2 * n + 1));
    const V<T> exponent = __builtin_convertvector(k, V<T>);
    V<T> y = exponent * broadcast<T>(C::ln2_high) + (f - (s * (f - p * z) - exponent * broadcast<T>(C::ln2_low)));
    y = x < broadcast<T>(Limits::min()) ? (x < V<T>{} ? broadcast<T>(Limits::quiet_NaN()) : broadcast<T>(-Limits::infinity())) : y;
    return x <= broadcast<T>(Limits::max()) ? y : x;  // infinity and NaN stay
}

// log(1 + x): what 1 + x loses of x is made up for by a factor (Kahan).
template <class T> inline V<T> logarithm_of_one_plus(V<T> x) {
    const V<T> sum = x + broadcast<T>(1), kept = sum - broadcast<T>(1);
    const V<T> y = logarithm<T>(sum) * (x / kept);
    return kept == V<T>{} || x > broadcast<T>(std::numeric_limits<T>::max()) ? x : y;
}

template <class T> inline V<T> softplus(V<T> x) {
    return (x > V<T>{} ? x : V<T>{}) + logarithm_of_one_plus<T>(exponential<T>(-absolute<T>(x)));
}

template <class T> inline V<T> floor_of(V<T> x) {
    const V<T> whole = broadcast<T>(T(std::int64_t{1} << ExpConstants<T>::mantissa));  // from there on all numbers are
    const V<T> size = absolute<T>(x), nearest = with_sign_of<T>((size + whole) - whole, x);
    const V<T> below = nearest > x ? nearest - broadcast<T>(1) : nearest;
    return size < whole ? with_sign_of<T>(below, x) : x;
}

// Quarters of a turn in three parts. Multiples of the first two are exact up to `limit`.
template <class T> struct TurnConstants;
template <> struct TurnConstants<float> {
    static constexpr float high = 0x1.92p+0f, middle = 0x1.fb4p-12f, low = 0x1.4442dp-24f, limit = 8192.0f;
    static constexpr int terms = 5;
};
template <> struct TurnConstants<double> {
    static constexpr double high = 0x1.921fb544p+0, middle = 0x1.0b4611a6p-34, low = 0x1.3198a2e037073p-69, limit = 1e6;
    static constexpr int terms = 9;
};

// sin(x + quarters * pi / 2) for |x| up to `limit`, by Taylor's series of the sine or cosine within an eighth of a turn around 0.
template <class T> inline V<T> sine_within(V<T> x, int quarters) {
    using C = TurnConstants<T>;
    using I = typename Vectors<T>::I;
    const V<T> magic = broadcast<T>(ExpConstants<T>::magic);
    const V<T> shifted = x * broadcast<T>(T(0.63661977236758134)) + magic, n = shifted - magic;
    V<T> r = x - n * broadcast<T>(C::high);
    r = r - n * broadcast<T>(C::middle);
    r = r - n * broadcast<T>(C::low);
    const V<T> z = r * r;
    // 1 / (2k + 1)! and 1 / (2k)! with their signs, from the last terms to the first; the compiler works them out.
    T odd = 1, even = 1;
    for (int k = 1; k <= C::terms; ++k) even /= -T((2 * k - 1) * 2 * k), odd /= -T(2 * k * (2 * k + 1));
    V<T> of_sine = broadcast<T>(odd), of_cosine = broadcast<T>(even);
#pragma GCC unroll 16
    for (int k = C::terms - 1; k >= 1; --k) {
        odd *= -T((2 * k + 2) * (2 * k + 3)), even *= -T((2 * k + 1) * (2 * k + 2));
        of_sine = of_sine * z + broadcast<T>(odd);
        of_cosine = of_cosine * z + broadcast<T>(even);
    }
    of_sine = r + r * z * of_sine;
    of_cosine = broadcast<T>(1) + z * of_cosine;
    const I quarter = ((I)shifted & 3) + quarters;
    const V<T> y = (quarter & 1) != 0 ? of_cosine : of_sine;
    return (quarter & 2) != 0 ? -y : y;
}

// Whether a lane is beyond that.
template <class T> inline bool turns_too_often(V<T> x) {
    const V<T> one = broadcast<T>(1), limit = broadcast<T>(TurnConstants<T>::limit);
    return sum_lanes<T>(absolute<T>(x) > limit ? one : V<T>{}) != 0;
}

template <class T> inline V<T> sine(V<T> x) {
    return turns_too_often<T>(x) ? each<T>(x, [](T v) { return std::sin(v); }) : sine_within<T>(x, 0);
}
template <class T> inline V<T> cosine(V<T> x) {
    return turns_too_often<T>(x) ? each<T>(x, [](T v) { return std::cos(v); }) : sine_within<T>(x, 1);
}

// The angle whose tangent is x. It is taken less 0, an eighth or a quarter of a turn, of which the tangents are 0, 1 and
// infinity: what is left has a tangent r = (x - t) / (1 + x * t) of at most sqrt(2) - 1, and Taylor's series for it.
template <class T> inline V<T> arc_tangent(V<T> x) {
    constexpr T eighth = T(0.78539816339744831), small = T(0.41421356237309505), large = T(2.4142135623730951);
    constexpr int terms = sizeof(T) == 4 ? 9 : 21;
    const V<T> zero{}, one = broadcast<T>(1), size = absolute<T>(x);
    const auto far = size > broadcast<T>(large), middle = size > broadcast<T>(small);
    const V<T> above = far ? -one : middle ? size - one : size, below = far ? size : middle ? size + one : one;
    const V<T> r = above / below, z = r * r;
    V<T> p = broadcast<T>((terms % 2 ? T(-1) : T(1)) / (2 * terms + 1));
#pragma GCC unroll 32
    for (int k = terms - 1; k >= 1; --k) p = p * z + broadcast<T>((k % 2 ? T(-1) : T(1)) / (2 * k + 1));
    const V<T> turned = far ? broadcast<T>(2 * eighth) : middle ? broadcast<T>(eighth) : zero;
    return with_sign_of<T>(turned + (r + r * z * p), x);
}

// The error function: its series up to 1; beyond, 1 - e^(-x^2) * h(x), where the polynomial h in (x - 2.5) / 1.5 was fitted
// to e^(x^2) * erfc(x) between 1 and 4 (absolute error of the result below 4e-9).
inline V<float> error_function(V<float> x) {
    static constexpr float h[] = {0.2108063577f,   -0.1115210179f,  0.05611094756f,  -0.02700545821f,
                                  0.01248412315f,  -0.005568837646f, 0.002425638938f, -0.001013662598f,
                                  3.681510979e-4f, -1.474161429e-4f, 9.629120195e-5f, -3.566417877e-5f};
    const V<float> size = absolute<float>(x), z = size * size;
    constexpr int terms = 11;
    float coefficient = 1.12837917f;  // 2 / sqrt(pi), then over (-1)^k k!
    for (int k = 1; k <= terms; ++k) coefficient /= static_cast<float>(-k);
    V<float> series = broadcast<float>(coefficient / (2 * terms + 1));
#pragma GCC unroll 16
    for (int k = terms - 1; k >= 0; --k) {
        coefficient *= static_cast<float>(-(k + 1));
        series = series * z + broadcast<float>(coefficient / static_cast<float>(2 * k + 1));
    }
    const V<float> near = size > broadcast<float>(4) ? broadcast<float>(4) : size;
    const V<float> u = (near - broadcast<float>(2.5f)) * broadcast<float>(1 / 1.5f);
    V<float> rest = broadcast<float>(h[11]);
#pragma GCC unroll 16
    for (int k = 10; k >= 0; --k) rest = rest * u + broadcast<float>(h[k]);
    const V<float> far = broadcast<float>(1) - exponential<float>(-near * near) * rest;
    return with_sign_of<float>(size > broadcast<float>(1) ? far : size * series, x);
}
inline V<double> error_function(V<double> x) {
    return each<double>(x, [](double v) { return std::erf(v); });
}

}  // namespace steploom::STEPLOOM_ISA
