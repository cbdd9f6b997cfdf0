// Columns in another order and products of matrices that rows hold, against loops.
#include "check.hpp"
#include "lstm_schedule.hpp"
#include "one_stage.hpp"
#include "tests.hpp"

namespace steploom::test {
namespace {

template <class T> void one_order(const Kernels& k, const std::vector<Stretch>& stretches, int batch, int width, int team) {
    const std::vector<T> x = as<T>(Random(width).normals(static_cast<std::size_t>(batch) * width));
    Stage stage = on_groups(StageKind::Gather, 0, 1, buffer(1), buffer(0));
    stage.stretches = stretches;
    for (const Stretch& stretch : stretches) stage.width += stretch.count;
    std::vector<double> expected;
    for (int r = 0; r < batch; ++r)
        for (const Stretch& stretch : stretches)
            for (int j = 0; j < stretch.count; ++j)
                expected.push_back(stretch.first < 0 ? 0.0 : double{x[static_cast<std::size_t>(r) * width + stretch.first + j * stretch.step]});
    close(run_stage<T>(k, stage, x, batch, team), expected, 0, "order of " + std::to_string(stage.width) + " columns, " + k.name);
}

// The left and the right matrices stand side by side.
template <class T> void one_matmul(const Kernels& k, const MatmulSizes& sizes, int groups, int batch, int team) {
    const int left = sizes.n * sizes.k, right = sizes.k * sizes.m, width = groups * (left + right);
    const std::vector<T> x = as<T>(Random(width).normals(static_cast<std::size_t>(batch) * width));
    Stage stage = on_groups(StageKind::Matmul, groups * sizes.n * sizes.m, groups, buffer(1), buffer(0));
    stage.in[1] = buffer(0, groups * left);
    stage.matmul = sizes;
    std::vector<double> expected;
    for (int r = 0; r < batch; ++r)
        for (int g = 0; g < groups; ++g) {
            const T *a = &x[static_cast<std::size_t>(r) * width + g * left], *b = &x[static_cast<std::size_t>(r) * width + groups * left + g * right];
            for (int i = 0; i < sizes.n; ++i)
                for (int j = 0; j < sizes.m; ++j) {
                    double sum = 0;
                    for (int c = 0; c < sizes.k; ++c)
                        sum += double{a[sizes.left_transposed ? c * sizes.n + i : i * sizes.k + c]} *
                               double{b[sizes.right_transposed ? j * sizes.k + c : c * sizes.m + j]};
                    expected.push_back(sum);
                }
        }
    const std::string name = "matrices " + std::to_string(sizes.n) + "x" + std::to_string(sizes.k) + " by " + std::to_string(sizes.m) + ", " +
                             (sizes.left_transposed ? "left" : sizes.right_transposed ? "right" : "none") + " transposed, " + k.name;
    close(run_stage<T>(k, stage, x, batch, team), expected, tolerance<T>, name);
}

}  // namespace

void test_matrices() {
    const std::vector<std::vector<Stretch>> orders = {
        {{0, 1, 0}},
        {{3, 17, 1}, {-1, 5, 0}, {0, 3, 1}},
        {{0, 8, 5}, {1, 8, 5}, {2, 8, 5}, {3, 8, 5}, {4, 8, 5}},
        {{39, 40, -1}, {7, 33, 0}},
    };
    const int shapes[][3] = {{1, 1, 1}, {1, 5, 1}, {1, 33, 17}, {5, 1, 7}, {4, 16, 32}, {6, 7, 70}, {9, 64, 16}, {16, 3, 1}};
    for (const std::string& isa : kernel_names()) {
        const Kernels& k = kernels_named(isa);
        for (const auto& [batch, team] : {std::pair{1, 1}, std::pair{3, 2}, std::pair{17, 3}}) {
            for (const std::vector<Stretch>& order : orders) {
                one_order<float>(k, order, batch, 40, team);
                one_order<double>(k, order, batch, 40, team);
            }
            for (const auto& [n, inner, m] : shapes)
                for (const auto& [left, right] : {std::pair{false, false}, std::pair{true, false}, std::pair{false, true}})
                    for (int groups : {1, 3}) {
                        one_matmul<float>(k, {n, inner, m, left, right}, groups, batch, team);
                        one_matmul<double>(k, {n, inner, m, left, right}, groups, batch, team);
                    }
        }
    }
}

}  // namespace steploom::test
