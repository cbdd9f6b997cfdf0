// What the native tests share: counted failures with a place, and random values without state of their own.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace steploom::test {

inline std::atomic<int> failures = 0, comparisons = 0;

inline void fail(const std::string& what) {
    if (++failures <= 20) std::fprintf(stderr, "FAILED %s\n", what.c_str());
}

inline void check(bool good, const std::string& what) {
    ++comparisons;
    if (!good) fail(what);
}

// The largest difference, as a share of the largest value or of 1. NaN anywhere fails.
template <class A, class B>
void close(const std::vector<A>& found, const std::vector<B>& expected, double tolerance, const std::string& what) {
    ++comparisons;
    if (found.size() != expected.size()) return fail(what + ": sizes differ");
    double worst = 0, scale = 1;
    bool numbers = true;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double a = static_cast<double>(found[i]), b = static_cast<double>(expected[i]);
        if (a != a || b != b) numbers = false;
        worst = std::fmax(worst, std::fabs(a - b));
        scale = std::fmax(scale, std::fabs(b));
    }
    if (!numbers || !(worst <= tolerance * scale))
        fail(what + ": differs by " + (numbers ? std::to_string(worst / scale) : std::string("NaN")));
}

class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}
    double normal() { return normal_(engine_); }
    std::int64_t below(std::int64_t n) { return std::uniform_int_distribution<std::int64_t>(0, n - 1)(engine_); }
    std::vector<double> normals(std::size_t count, double scale = 1) {
        std::vector<double> values(count);
        for (double& v : values) v = scale * normal();
        return values;
    }

  private:
    std::mt19937 engine_;
    std::normal_distribution<double> normal_;
};

template <class T> std::vector<T> as(const std::vector<double>& values) { return {values.begin(), values.end()}; }

// The largest share by which results in T may differ from those in double.
template <class T> constexpr double tolerance = sizeof(T) == 4 ? 2e-5 : 1e-12;

}  // namespace steploom::test
