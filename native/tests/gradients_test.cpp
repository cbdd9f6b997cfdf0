// Gradients of weights, which are sums of outer products over all rows, against loops.
#include "check.hpp"
#include "lstm_schedule.hpp"
#include "tests.hpp"

namespace steploom::test {
namespace {

struct Case {
    int time, batch, n;
    std::vector<int> widths;  // k of each gradient; all sum the same n columns
    int slices, team;
};

// One input holds the n columns, and behind them what each gradient multiplies them with. `another`: so many columns more
// to a row in a second view of the same memory, which the last gradient sums.
template <class T> void one(const Kernels& k, const Case& c, bool turned, int another) {
    int width = c.n;
    for (int w : c.widths) width += w;
    const std::size_t gradients = c.widths.size();
    const std::int64_t rows = std::int64_t{c.time} * c.batch, strides[] = {width, width + another};
    const std::vector<T> x = as<T>(Random(width).normals(static_cast<std::size_t>(rows * strides[1])));
    Schedule s;
    s.descending = true;
    s.buffers = {{Kind::Input, width, 0, -1}, {Kind::Input, width, 1, -1}};
    Call call;
    call.time = c.time, call.batch = c.batch, call.slices = c.slices, call.team = c.team;
    for (std::int64_t stride : strides) call.sequences.push_back({const_cast<T*>(x.data()), c.batch * stride, stride});
    std::vector<std::vector<T>> found(gradients);
    int column = c.n;
    for (std::size_t g = 0; g < gradients; ++g) {
        const int w = c.widths[g], view = another && g + 1 == gradients;
        found[g].assign(static_cast<std::size_t>(c.n) * w, T(7));
        s.weight_gradients.push_back({static_cast<int>(g), buffer(view), buffer(0, column), c.n, w, true});
        call.matrices.push_back({nullptr, w, 1, found[g].data(), turned ? 1 : w, turned ? c.n : 1});
        column += w;
    }
    if (sizeof(T) == 4) k.run_f32(s, call);
    else k.run_f64(s, call);
    column = c.n;
    for (std::size_t g = 0; g < gradients; ++g) {
        const int w = c.widths[g];
        const std::int64_t stride = strides[another && g + 1 == gradients];
        std::vector<double> expected(found[g].size());
        for (std::int64_t r = 0; r < rows; ++r)
            for (int i = 0; i < c.n; ++i)
                for (int j = 0; j < w; ++j)
                    expected[static_cast<std::size_t>(turned ? j * c.n + i : i * w + j)] +=
                        double{x[static_cast<std::size_t>(r * stride + i)]} * x[static_cast<std::size_t>(r * width + column + j)];
        close(found[g], expected, tolerance<T>, "gradient of " + std::to_string(c.n) + " x " + std::to_string(w) + " over " +
              std::to_string(rows) + " rows, " + k.name);
        column += w;
    }
}

}  // namespace

void test_gradients() {
    const Case cases[] = {
        {1, 1, 1, {1}, 1, 1},          {5, 1, 12, {28, 300, 3}, 1, 1},   {7, 11, 13, {33, 17}, 1, 2},     {9, 43, 101, {28, 200, 170}, 1, 1},
        {40, 20, 25, {300}, 2, 1},     {3, 2, 7, {1, 2, 3, 4, 16, 31, 32, 33, 64, 65}, 1, 1},             {20, 40, 330, {190, 180}, 1, 3},
    };
    for (const std::string& isa : kernel_names()) {
        const Kernels& k = kernels_named(isa);
        for (const Case& c : cases)
            for (bool turned : {false, true})
                for (int another : {0, 16}) {
                    one<float>(k, c, turned, another);
                    one<double>(k, c, turned, another);
                }
    }
}

}  // namespace steploom::test
