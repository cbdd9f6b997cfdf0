// Products of digits, against sums of doubles. Nothing to test where the processor has no tiles.
#include <algorithm>
#include <limits>
#include <memory>

#include "check.hpp"
#include "../digits.hpp"
#include "../memory.hpp"
#include "tests.hpp"

#if defined(STEPLOOM_X86_KERNELS)
namespace steploom::test {
namespace {

using Index = std::int64_t;

// What rounding to 24 bits and the products left out may cost: each number of a row is as far off as a share of the row's
// largest. Random errors of K products add up to the root of K; the rest is the rounding of the sum itself.
double allowed(const std::vector<float>& left, const std::vector<float>& right, Index inner, double init) {
    const auto most = [](const std::vector<float>& v) {
        float size = 0;
        for (float x : v) size = std::fmax(size, std::fabs(x));
        return double{size};
    };
    return (8 * std::sqrt(static_cast<double>(inner)) * most(left) * most(right) + init) / (1 << 24);
}

struct Case {
    Index rows, inner;
    int columns;
};

// A factor of (rows, inner) by (columns, inner), in rows that stand further apart than they are long.
struct Factor {
    std::vector<float> left, right;
    Index row;
    std::unique_ptr<Workspace> space;
    Factor(const Case& c, Index inner, unsigned seed, bool turned) : row(inner + 3) {
        Random random(seed);
        left = as<float>(random.normals(static_cast<std::size_t>(c.rows * row)));
        right = as<float>(random.normals(static_cast<std::size_t>(c.columns * inner), 0.1));
        std::vector<float> stored(right);
        for (Index n = 0; n < c.columns && turned; ++n)
            for (Index k = 0; k < inner; ++k) stored[static_cast<std::size_t>(k * c.columns + n)] = right[static_cast<std::size_t>(n * inner + k)];
        const int panels = digit_panels(c.columns);
        space = std::make_unique<Workspace>(static_cast<std::size_t>(panels * digit_panel_size(inner)) * sizeof(float));
        pack_digits(stored.data(), turned ? 1 : inner, turned ? c.columns : 1, c.columns, static_cast<int>(inner), nullptr, space->at<float>(0), 0, panels);
    }
    DigitFactor of(Index inner) const { return {left.data(), row, space->at<float>(0), inner, nullptr}; }
    double at(Index r, int n, Index inner) const {
        double sum = 0;
        for (Index k = 0; k < inner; ++k) sum += double{left[static_cast<std::size_t>(r * row + k)]} * right[static_cast<std::size_t>(n * inner + k)];
        return sum;
    }
};

void one_product(const Case& c, bool turned, bool has_init) {
    const Index second = 70;
    const Factor a(c, c.inner, 1, turned), b(c, second, 2, !turned);
    const Index row = c.columns + 5;
    const std::vector<float> init = as<float>(Random(3).normals(static_cast<std::size_t>(c.rows * row)));
    std::vector<float> out(init.size(), 7.0f);
    const DigitFactor factors[] = {a.of(c.inner), b.of(second)};
    const int panels = digit_panels(c.columns);
    Ahead ahead;
    ahead.clear();
    ahead.add(init.data(), static_cast<Index>(init.size() * sizeof(float)));
    ahead.start(digit_rounds(c.rows, panels, c.inner + second));
    digit_product(factors, 2, has_init ? init.data() : nullptr, row, out.data(), row, c.rows, c.columns, 0, panels, has_init ? &ahead : nullptr);
    const std::string name = std::to_string(c.rows) + " rows of " + std::to_string(c.inner) + " by " + std::to_string(c.columns) + (turned ? ", turned" : "");
    double worst = 0;
    bool untouched = true;
    for (Index r = 0; r < c.rows; ++r)
        for (int n = 0; n < row; ++n) {
            const auto at = static_cast<std::size_t>(r * row + n);
            if (n >= c.columns) untouched &= out[at] == 7.0f;
            else worst = std::fmax(worst, std::fabs(out[at] - (a.at(r, n, c.inner) + b.at(r, n, second) + (has_init ? init[at] : 0))));
        }
    const double bound = allowed(a.left, a.right, c.inner, 8) + allowed(b.left, b.right, second, 0);
    check(worst <= bound, name + ": off by " + std::to_string(worst / bound) + " of what is allowed");
    check(untouched, name + ": nothing is written behind a row");
}

// Gradients: sums of outer products over r, in several blocks of columns where they are many.
void one_outer(Index count, int rows, int columns, bool add) {
    const Index left_row = rows + 2, right_row = columns + 1, out_row = columns + 4;
    const std::vector<float> left = as<float>(Random(4).normals(static_cast<std::size_t>(count * left_row))),
                             right = as<float>(Random(5).normals(static_cast<std::size_t>(count * right_row)));
    const Workspace space(digit_space * sizeof(float));
    std::vector<float> out(static_cast<std::size_t>(rows * out_row), 2.0f);
    digit_outer(count, left.data(), left_row, rows, right.data(), right_row, columns, out.data(), out_row, add, space.at<float>(0));
    double worst = 0;
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j) {
            double sum = add ? 2 : 0;
            for (Index r = 0; r < count; ++r) sum += double{left[static_cast<std::size_t>(r * left_row + i)]} * right[static_cast<std::size_t>(r * right_row + j)];
            worst = std::fmax(worst, std::fabs(out[static_cast<std::size_t>(i * out_row + j)] - sum));
        }
    const double bound = allowed(left, right, count, 100);
    check(worst <= bound, "gradient over " + std::to_string(count) + ", " + std::to_string(rows) + " x " + std::to_string(columns) + ": off by " + std::to_string(worst / bound));
}

// Where a gradient is far larger at some rows than at others, but multiplied with little there, the others are as exact.
void rows_of_other_sizes() {
    const Index count = 200;
    const int size = 40;
    std::vector<float> left = as<float>(Random(8).normals(count * size)), right = as<float>(Random(9).normals(count * size)), out(size * size);
    double bound = 4 * allowed(left, right, count, 100);
    for (int i = 0; i < size; ++i) left[static_cast<std::size_t>(i)] *= 1e5f, right[static_cast<std::size_t>(i)] *= 1e-5f;
    const Workspace space(digit_space * sizeof(float));
    digit_outer(count, left.data(), size, size, right.data(), size, size, out.data(), size, false, space.at<float>(0));
    double worst = 0;
    for (int i = 0; i < size; ++i)
        for (int j = 0; j < size; ++j) {
            double sum = 0;
            for (Index r = 0; r < count; ++r) sum += double{left[static_cast<std::size_t>(r * size + i)]} * right[static_cast<std::size_t>(r * size + j)];
            worst = std::fmax(worst, std::fabs(out[static_cast<std::size_t>(i * size + j)] - sum));
        }
    check(worst <= bound, "a gradient that is large at one row: off by " + std::to_string(worst / bound));
}

// Infinity on the left side goes the way it does in float32, NaN stays in its row, and what is tiny or 0 is no trouble.
void unusual_rows() {
    const Index inner = 66, rows = 18;
    const int columns = 34;
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    Factor f({rows, inner, columns}, inner, 6, false);
    const auto row = [&](Index r) { return f.left.begin() + r * f.row; };
    row(1)[3] = infinity, row(2)[65] = -infinity, row(3)[5] = infinity, row(3)[7] = -infinity, row(17)[0] = nan;
    std::fill_n(row(4), inner, 0.0f), std::fill_n(row(5), inner, 1e-37f), std::fill_n(row(6), inner, 1e37f);
    std::vector<float> out(static_cast<std::size_t>(rows * columns));
    const DigitFactor factor = f.of(inner);
    digit_product(&factor, 1, nullptr, 0, out.data(), columns, rows, columns, 0, 2, nullptr);
    bool same = true;
    for (Index r : {1, 2, 3, 17})
        for (int n = 0; n < columns; ++n) {
            const double expected = f.at(r, n, inner);
            const float found = out[static_cast<std::size_t>(r * columns + n)];
            same &= expected != expected ? found != found : expected == double{found};
        }
    check(same, "rows that are not finite");
    for (Index r : {0, 4, 5, 6, 7}) {
        double worst = 0, size = 1e-30;
        for (int n = 0; n < columns; ++n) {
            worst = std::fmax(worst, std::fabs(out[static_cast<std::size_t>(r * columns + n)] - f.at(r, n, inner)));
            size = std::fmax(size, std::fabs(f.at(r, n, inner)));
        }
        check(worst <= 1e-6 * size, "row " + std::to_string(r) + " beside rows that are not finite");
    }
}

// Factors of two that make a number infinite in between, but not the product.
void factors_beyond_float32() {
    const Index inner = 66;
    const std::vector<float> down(66, 1099511627776.0f), up(66, 1 / 1099511627776.0f);  // 2^40
    Factor f({2, inner, 3}, inner, 10, false);
    f.left[3] = 1e30f;
    pack_digits(f.right.data(), inner, 1, 3, static_cast<int>(inner), up.data(), f.space->at<float>(0), 0, 1);
    std::vector<float> out(6);
    const DigitFactor factor{f.left.data(), f.row, f.space->at<float>(0), inner, down.data()};
    digit_product(&factor, 1, nullptr, 0, out.data(), 3, 2, 3, 0, 1, nullptr);
    bool right = true;
    for (int i = 0; i < 6; ++i) right &= std::fabs(out[static_cast<std::size_t>(i)] / f.at(i / 3, i % 3, inner) - 1) < 1e-5;
    check(right, "factors beyond float32");
}

// Sums that come near the largest number there is.
void large_sums() {
    const Index inner = 300;
    Factor f({2, inner, 33}, inner, 7, false);
    std::fill(f.left.begin(), f.left.end(), 1e37f);
    const std::vector<float> weights(static_cast<std::size_t>(33 * inner), 0.01f);
    pack_digits(weights.data(), inner, 1, 33, static_cast<int>(inner), nullptr, f.space->at<float>(0), 0, 2);
    std::vector<float> out(66);
    const DigitFactor factor = f.of(inner);
    digit_product(&factor, 1, nullptr, 0, out.data(), 33, 2, 33, 0, 2, nullptr);
    bool right = true;
    for (float found : out) right &= std::fabs(found - 3e37f) < 1e-6f * 3e37f;
    check(right, "sums of large numbers");
}

}  // namespace

void test_digits() {
    if (!have_tiles()) return;
    for (const Case& c : {Case{1, 1, 1}, {16, 64, 32}, {17, 65, 33}, {31, 129, 15}, {33, 40, 70}, {5, 330, 48}, {70, 700, 20}})
        for (bool turned : {false, true})
            for (bool has_init : {false, true}) one_product(c, turned, has_init);
    for (bool add : {false, true}) {
        one_outer(1, 1, 1, add);
        one_outer(130, 47, 33, add);
        one_outer(333, 16, 65, add);
        one_outer(2000, 20, 300, add);  // more columns than are packed at once
    }
    unusual_rows();
    factors_beyond_float32();
    large_sums();
    rows_of_other_sizes();
}

}  // namespace steploom::test
#else
void steploom::test::test_digits() {}
#endif
