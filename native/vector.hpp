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

constexpr int vector_registers = STEPLOOM_VECTOR_BYTES == 64 ? 32 : 16;
constexpr bool many_registers = vector_registers == 32;

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

// As it is, and in a register: where a value is used two or three times, the compiler else reads the memory again for each.
template <class T> [[gnu::always_inline]] inline V<T> kept(V<T> v) {
#if defined(__AVX512F__)
    asm("" : "+v"(v));
#elif defined(__SSE2__)
    asm("" : "+x"(v));
#endif
    return v;
}

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

// f(i, j) for each of Rows x Columns, unrolled: only where the compiler knows every index do the vectors of an array stay in
// registers, without a copy in memory beside them.
template <int Rows, int Columns, class F> [[gnu::always_inline]] inline void each_of(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < Columns; ++j) f(i, j);
}

// The sum of all lanes: halves are added to each other until one lane is left.
template <class T, int D, int... J> inline V<T> rotated(V<T> x, std::integer_sequence<int, J...>) {
    return __builtin_shufflevector(x, x, (J + D) % lanes<T>...);
}
template <class T, int D = lanes<T> / 2> inline T sum_lanes(V<T> x) {
    if constexpr (D == 0) return x[0];
    else return sum_lanes<T, D / 2>(x + rotated<T, D>(x, std::make_integer_sequence<int, lanes<T>>{}));
}

}  // namespace steploom::STEPLOOM_ISA
