// The order of columns and columns by an index, against the standard library.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "check.hpp"
#include "lstm_schedule.hpp"
#include "one_stage.hpp"
#include "tests.hpp"

namespace steploom::test {
namespace {

template <class T>
void run(const Kernels& k, Stage stage, const std::vector<T>& x, int batch, int second, int team, const std::vector<double>& expected, const std::string& name) {
    stage.in[1] = buffer(0, second);
    std::vector<T> y = run_stage<T>(k, stage, x, batch, team);
    for (T& v : y)
        if (v != v) v = T(-9);  // what is not a number compares with nothing
    close(y, expected, tolerance<T>, name + " of " + std::to_string(stage.along.n) + " by " + std::to_string(stage.along.count) + ", " + k.name);
}

Stage along(StageKind kind, int groups, int n, int count, bool descending, bool last = false) {
    Stage stage = on_groups(kind, groups * (kind == StageKind::PutAlong ? n : count), groups, buffer(1), buffer(0));
    stage.along = {n, count, descending, last};
    return stage;
}

// Values of which many are equal, some infinite, and some no numbers, which stand behind infinity.
template <class T> void order(const Kernels& k, int groups, int n, int batch, int team) {
    std::vector<T> x = as<T>(Random(n).normals(static_cast<std::size_t>(batch) * groups * n));
    for (T& v : x) v = std::floor(v * 2);
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    for (std::size_t first = 0; first < x.size(); first += n)
        for (int j = 0; j < n; ++j)
            if (const T special[] = {inf, nan, -inf, nan, inf}; j % 11 < 5 && n > 2) x[first + j] = special[j % 11];
    for (const bool descending : {false, true}) {
        std::vector<double> expected;
        for (std::size_t first = 0; first < x.size(); first += n) {
            std::vector<int> order(n);
            std::iota(order.begin(), order.end(), 0);
            const auto key = [&](int i) { return std::pair(std::isnan(x[first + i]), std::isnan(x[first + i]) ? T(0) : x[first + i]); };
            std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return descending ? key(i) > key(j) : key(i) < key(j); });
            expected.insert(expected.end(), order.begin(), order.end());
        }
        run<T>(k, along(StageKind::Argsort, groups, n, n, descending), x, batch, 0, team, expected, "order");
    }
}

// The values stand before the index; some indices name nothing.
template <class T> void by_index(const Kernels& k, int groups, int n, int count, int batch, int team) {
    const int values = groups * std::max(n, count), width = values + groups * count;
    std::vector<T> x = as<T>(Random(n + count).normals(static_cast<std::size_t>(batch) * width));
    std::vector<double> taken, sums(static_cast<std::size_t>(batch) * groups * n), lasts(sums.size());
    for (int r = 0; r < batch; ++r)
        for (int g = 0; g < groups; ++g)
            for (int j = 0; j < count; ++j) {
                T* const row = &x[static_cast<std::size_t>(r) * width];
                T& index = row[values + g * count + j];
                index = std::floor(index * T(n) / 2 + T(n) / 2);
                if (j % 5 == 4) index = std::numeric_limits<T>::quiet_NaN();
                const bool inside = index >= 0 && index < n;
                taken.push_back(inside ? double{row[g * n + static_cast<int>(index)]} : -9.0);
                if (!inside) continue;
                const std::size_t to = (static_cast<std::size_t>(r) * groups + g) * n + static_cast<int>(index);
                sums[to] += lasts[to] = row[g * count + j];
            }
    run<T>(k, along(StageKind::TakeAlong, groups, n, count, false), x, batch, values, team, taken, "take");
    for (const bool last : {false, true}) {
        Stage put = along(StageKind::PutAlong, groups, n, count, false, last);
        // Put has the index first.
        std::vector<T> turned;
        for (int r = 0; r < batch; ++r) {
            const auto row = x.begin() + static_cast<std::ptrdiff_t>(r) * width;
            turned.insert(turned.end(), row + values, row + width);
            turned.insert(turned.end(), row, row + values);
        }
        run<T>(k, put, turned, batch, groups * count, team, last ? lasts : sums, last ? "put last" : "put");
    }
}

}  // namespace

void test_along() {
    for (const std::string& isa : kernel_names()) {
        const Kernels& k = kernels_named(isa);
        for (const auto& [batch, team] : {std::pair{1, 1}, std::pair{3, 2}, std::pair{17, 3}})
            for (const int n : {1, 2, 7, 33, 300})
                for (const int groups : {1, 3}) {
                    order<float>(k, groups, n, batch, team);
                    order<double>(k, groups, n, batch, team);
                    for (const int count : {1, 9, 40}) {
                        by_index<float>(k, groups, n, count, batch, team);
                        by_index<double>(k, groups, n, count, batch, team);
                    }
                }
    }
}

}  // namespace steploom::test
