// One vector type for every instruction set: the compiler's own vectors, as wide as this build's registers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define STEPLOOM_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define STEPLOOM_VECTOR_BYTES 32
#else
#define STEPLOOM_VECTOR_BYTES 16
#endif

namespace steploom::STEPLOOM_ISA {

// AVX-512 has 32 of them, the others 16.
constexpr bool many_registers = STEPLOOM_VECTOR_BYTES == 64;

template <class T> struct Vectors;
template <> struct Vectors<float> {
    typedef float V __attribute__((vector_size(STEPLOOM_VECTOR_BYTES)));
    typedef std::int32_t I __attribute__((vector_size(STEPLOOM_VECTOR_BYTES)));
    using Int = std::int32_t;
};
template <> struct Vectors<double> {
    typedef double V __attribute__((vector_size(STEPLOOM_VECTOR_BYTES)));
    typedef std::int64_t I __attribute__((vector_size(STEPLOOM_VECTOR_BYTES)));
    using Int = std::int64_t;
};

template <class T> using V = typename Vectors<T>::V;
template <class T> constexpr int lanes = STEPLOOM_VECTOR_BYTES / sizeof(T);

template <class T> inline V<T> load(const T* p) {
    V<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

template <class T> inline void store(T* p, V<T> v) { std::memcpy(p, &v, sizeof v); }

template <class T> inline V<T> broadcast(T s) { return s - V<T>{}; }

// The first `count` lanes, 0 < count <= lanes: loads give 0 in the others. Nothing beyond them is read or written.
template <class T> class Part {
  public:
#if defined(__AVX512F__)
    explicit Part(int count) : mask_((1u << count) - 1) {}
    V<T> load(const T* p) const {
        if constexpr (sizeof(T) == 4) return (V<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask_), p);
        else return (V<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask_), p);
    }
    void store(T* p, V<T> v) const {
        if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, static_cast<__mmask16>(mask_), (__m512)v);
        else _mm512_mask_storeu_pd(p, static_cast<__mmask8>(mask_), (__m512d)v);
    }

  private:
    unsigned mask_;
#elif defined(__AVX2__)
    explicit Part(int count) {
        for (int i = 0; i < lanes<T>; ++i) mask_[i] = i < count ? -1 : 0;
    }
    V<T> load(const T* p) const {
        if constexpr (sizeof(T) == 4) return (V<T>)_mm256_maskload_ps(p, (__m256i)mask_);
        else return (V<T>)_mm256_maskload_pd(p, (__m256i)mask_);
    }
    void store(T* p, V<T> v) const {
        if constexpr (sizeof(T) == 4) _mm256_maskstore_ps(p, (__m256i)mask_, (__m256)v);
        else _mm256_maskstore_pd(p, (__m256i)mask_, (__m256d)v);
    }

  private:
    typename Vectors<T>::I mask_;
#else
    explicit Part(int count) : count_(count) {}
    V<T> load(const T* p) const {
        V<T> v{};
        for (int i = 0; i < count_; ++i) v[i] = p[i];
        return v;
    }
    void store(T* p, V<T> v) const {
        for (int i = 0; i < count_; ++i) p[i] = v[i];
    }

  private:
    int count_;
#endif
};

template <class T> inline V<T> load_part(const T* p, int count) { return Part<T>(count).load(p); }
template <class T> inline void store_part(T* p, V<T> v, int count) { Part<T>(count).store(p, v); }

template <class T> inline V<T> maximum(V<T> a, V<T> b) {  // NaN where either is
    const V<T> m = a > b ? a : b;
    return a != a ? a : m;
}

template <class T> inline V<T> minimum(V<T> a, V<T> b) {
    const V<T> m = a < b ? a : b;
    return a != a ? a : m;
}

template <class T> inline V<T> square_root(V<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (V<T>)_mm512_maskz_sqrt_ps((__mmask16)-1, (__m512)x);
    else return (V<T>)_mm512_maskz_sqrt_pd((__mmask8)-1, (__m512d)x);
#else
    for (int i = 0; i < lanes<T>; ++i) x[i] = std::sqrt(x[i]);
    return x;
#endif
}

template <class T> inline V<T> absolute(V<T> x) {
    using I = typename Vectors<T>::I;
    const I mask = (I{} - 1) & ~(I{} + std::numeric_limits<typename Vectors<T>::Int>::min());
    return (V<T>)((I)x & mask);
}

template <class T> inline V<T> with_sign_of(V<T> size, V<T> sign) {
    using I = typename Vectors<T>::I;
    const I bit = I{} + std::numeric_limits<typename Vectors<T>::Int>::min();
    return (V<T>)(((I)size & ~bit) | ((I)sign & bit));
}

// The sum of all lanes: halves are added to each other until one lane is left.
template <class T, int D, int... J> inline V<T> rotated(V<T> x, std::integer_sequence<int, J...>) {
    return __builtin_shufflevector(x, x, (J + D) % lanes<T>...);
}
template <class T, int D = lanes<T> / 2> inline T sum_lanes(V<T> x) {
    if constexpr (D == 0) return x[0];
    else return sum_lanes<T, D / 2>(x + rotated<T, D>(x, std::make_integer_sequence<int, lanes<T>>{}));
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

}  // namespace steploom::STEPLOOM_ISA
