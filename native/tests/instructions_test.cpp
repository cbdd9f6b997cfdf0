// Each elementwise instruction and each stage on groups, over odd widths, against the C library.
#include <functional>
#include <limits>

#include "check.hpp"
#include "lstm_schedule.hpp"
#include "tests.hpp"

namespace steploom::test {
namespace {

using Function = std::function<double(double, double, double)>;

struct Instruction {
    Opcode code;
    Function function;
    bool positive = false;  // takes values above 0 only
};

double sign(double v) { return v > 0 ? 1 : v < 0 ? -1 : v; }

const std::vector<Instruction>& instructions() {
#define F(...) [](double x, double y, double z) -> double { (void)x, (void)y, (void)z; return __VA_ARGS__; }
    static const std::vector<Instruction> list = {
        {Opcode::copy, F(x)}, {Opcode::neg, F(-x)}, {Opcode::abs, F(std::fabs(x))}, {Opcode::sign, F(sign(x))},
        {Opcode::exp, F(std::exp(x))}, {Opcode::log, F(std::log(x)), true}, {Opcode::sqrt, F(std::sqrt(x)), true},
        {Opcode::rsqrt, F(1 / std::sqrt(x)), true}, {Opcode::reciprocal, F(1 / x), true},
        {Opcode::sigmoid, F(1 / (1 + std::exp(-x)))}, {Opcode::tanh, F(std::tanh(x))}, {Opcode::relu, F(x > 0 ? x : 0)},
        {Opcode::softplus, F(std::log1p(std::exp(-std::fabs(x))) + (x > 0 ? x : 0))}, {Opcode::sin, F(std::sin(x))},
        {Opcode::cos, F(std::cos(x))}, {Opcode::erf, F(std::erf(x))}, {Opcode::atan, F(std::atan(x))},
        {Opcode::log1p, F(std::log1p(x)), true},
        {Opcode::expm1, F(std::expm1(x))}, {Opcode::floor, F(std::floor(x))}, {Opcode::square, F(x * x)},
        {Opcode::add, F(x + y)}, {Opcode::sub, F(x - y)}, {Opcode::mul, F(x * y)}, {Opcode::div, F(x / y), true},
        {Opcode::maximum, F(x > y ? x : y)}, {Opcode::minimum, F(x < y ? x : y)}, {Opcode::gt, F(x > y)},
        {Opcode::ge, F(x >= y)}, {Opcode::lt, F(x < y)}, {Opcode::le, F(x <= y)}, {Opcode::eq, F(x == y)},
        {Opcode::ne, F(x != y)}, {Opcode::sigmoid_grad, F(x * y * (1 - y))}, {Opcode::tanh_grad, F(x * (1 - y * y))},
        {Opcode::relu_grad, F(y > 0 ? x : 0)}, {Opcode::where, F(x != 0 ? y : z)}, {Opcode::fma, F(x * y + z)},
        {Opcode::submul, F((x - y) * z)},
        {Opcode::pow, F(std::pow(x, y)), true}};
#undef F
    return list;
}

// Three inputs of one width, as neighbours in one sequence, and one output.
template <class T> std::vector<T> run(const Kernels& k, const Schedule& s, const std::vector<T>& x, int batch, int width, int outputs, int team,
                                           const std::vector<void*>& vectors = {}) {
    std::vector<T> y(static_cast<std::size_t>(batch) * outputs);
    Call call;
    call.time = 1, call.batch = batch, call.team = team, call.vectors = vectors;
    call.sequences = {{const_cast<T*>(x.data()), batch * width, width}, {y.data(), batch * outputs, outputs}};
    if (sizeof(T) == 4) k.run_f32(s, call);
    else k.run_f64(s, call);
    return y;
}

template <class T> void one_instruction(const Kernels& k, const Instruction& i, int batch, int width, int team) {
    Random random(width + static_cast<int>(i.code));
    std::vector<T> x = as<T>(random.normals(static_cast<std::size_t>(batch) * 3 * width, 2));
    if (i.positive)
        for (T& v : x) v = std::fabs(v) + T(0.01);
    Schedule s;
    s.buffers = {{Kind::Input, 3 * width, 0, -1}, {Kind::Output, width, 1, -1}};
    s.step = {elementwise(width, {op(i.code, buffer(1), buffer(0), buffer(0, width), buffer(0, 2 * width))})};
    std::vector<double> expected;
    for (int r = 0; r < batch; ++r)
        for (int j = 0; j < width; ++j) {
            const T* row = &x[static_cast<std::size_t>(r) * 3 * width];
            expected.push_back(static_cast<T>(i.function(row[j], row[width + j], row[2 * width + j])));
        }
    const std::string name = std::string(opcode_names[static_cast<int>(i.code)]) + ", width " + std::to_string(width) +
                             ", batch " + std::to_string(batch) + ", team " + std::to_string(team) + ", " + k.name +
                             (sizeof(T) == 4 ? ", float" : ", double");
    close(run<T>(k, s, x, batch, 3 * width, width, team), expected, sizeof(T) == 4 ? 1e-6 : 1e-14, name);
}

// What is not a number stays so, and no finite value makes one.
template <class T> void extremes(const Kernels& k) {
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    const T big = sizeof(T) == 4 ? T(100) : T(800);
    const std::vector<T> x = {nan, inf, -inf, big, -big, 0, T(1e-6)};
    const int n = static_cast<int>(x.size());
    const auto apply = [&](Opcode code) {
        Schedule s;
        s.buffers = {{Kind::Input, n, 0, -1}, {Kind::Output, n, 1, -1}};
        s.step = {elementwise(n, {op(code, buffer(1), buffer(0), buffer(0), buffer(0))})};
        return run<T>(k, s, x, 1, n, n, 1);
    };
    const auto hold = [&](Opcode code, std::vector<T> expected) {
        const std::vector<T> y = apply(code);
        const std::string name = std::string(opcode_names[static_cast<int>(code)]) + " of extreme values, " + k.name +
                                 (sizeof(T) == 4 ? ", float" : ", double");
        check(y[0] != y[0], name + ": not a number");
        for (int j = 1; j < n; ++j)
            check(y[j] == expected[j] || std::fabs(y[j] - expected[j]) <= T(1e-6), name + ", value " + std::to_string(j));
    };
    hold(Opcode::exp, {nan, inf, 0, inf, 0, 1, T(1.000001)});
    hold(Opcode::sigmoid, {nan, 1, 0, 1, 0, T(0.5), T(0.5)});
    hold(Opcode::atan, {nan, T(1.5707963267948966), T(-1.5707963267948966), std::atan(big), std::atan(-big), 0, T(1e-6)});
    hold(Opcode::tanh, {nan, 1, -1, 1, -1, 0, T(1e-6)});
    // Where the power of two in e^x would be the first that overflows, e^x itself may not.
    const T near = std::log(std::numeric_limits<T>::max()) - T(0.1);
    Schedule s;
    s.buffers = {{Kind::Input, 1, 0, -1}, {Kind::Output, 1, 1, -1}};
    s.step = {elementwise(1, {op(Opcode::exp, buffer(1), buffer(0))})};
    const T most = run<T>(k, s, {near}, 1, 1, 1, 1)[0];
    check(std::fabs(most / std::exp(near) - 1) < tolerance<T>, std::string("exp of almost the largest value, ") + k.name);
    hold(Opcode::relu, {nan, inf, 0, big, 0, 0, T(1e-6)});
    hold(Opcode::maximum, {nan, inf, -inf, big, -big, 0, T(1e-6)});
    hold(Opcode::minimum, {nan, inf, -inf, big, -big, 0, T(1e-6)});
}

// Each input in turn has one value for each group of columns.
template <class T> void shared_values(const Kernels& k, const Instruction& i, int batch, int width, int groups, int team) {
    const int size = width / groups;
    Random random(width + static_cast<int>(i.code));
    std::vector<T> x = as<T>(random.normals(static_cast<std::size_t>(batch) * 3 * width, 2));
    if (i.positive)
        for (T& v : x) v = std::fabs(v) + T(0.01);
    for (int shared = 0; shared < 3; ++shared) {
        Schedule s;
        s.buffers = {{Kind::Input, 3 * width, 0, -1}, {Kind::Output, width, 1, -1}};
        Operand in[3] = {buffer(0), buffer(0, width), buffer(0, 2 * width)};
        in[shared].group = size;
        s.step = {elementwise(width, {op(i.code, buffer(1), in[0], in[1], in[2])})};
        std::vector<double> expected;
        for (int r = 0; r < batch; ++r)
            for (int j = 0; j < width; ++j) {
                T v[3];
                for (int a = 0; a < 3; ++a) v[a] = x[(static_cast<std::size_t>(r) * 3 + a) * width + (a == shared ? j / size : j)];
                expected.push_back(static_cast<T>(i.function(v[0], v[1], v[2])));
            }
        const std::string name = std::string(opcode_names[static_cast<int>(i.code)]) + " with input " + std::to_string(shared) +
                                 " shared, width " + std::to_string(width) + ", groups " + std::to_string(groups) + ", " + k.name;
        close(run<T>(k, s, x, batch, 3 * width, width, team), expected, sizeof(T) == 4 ? 1e-6 : 1e-14, name);
    }
}

// Layer norm: the moments, each handed to all columns of its group.
template <class T> void normalised(const Kernels& k, int batch, int width, int groups, int team) {
    const int size = width / groups;
    std::vector<T> x = as<T>(Random(width).normals(static_cast<std::size_t>(batch) * width));
    Schedule s;
    s.buffers = {{Kind::Input, width, 0, -1}, {Kind::Output, width, 1, -1}, {Kind::Step, 2 * groups, -1, -1}};
    enum { in, out, found };
    Stage moments = on_groups(StageKind::Moments, width, groups, buffer(found), buffer(in));
    moments.epsilon = 1e-5;
    Stage standardize = on_groups(StageKind::Standardize, width, groups, buffer(out), buffer(in));
    standardize.in[1] = buffer(found);
    s.step = {moments, standardize};
    std::vector<double> expected;
    for (int r = 0; r < batch; ++r)
        for (int g = 0; g < groups; ++g) {
            const T* from = &x[static_cast<std::size_t>(r) * width + g * size];
            double mean = 0, square = 0;
            for (int j = 0; j < size; ++j) mean += from[j] / size;
            for (int j = 0; j < size; ++j) square += (from[j] - mean) * (from[j] - mean) / size;
            for (int j = 0; j < size; ++j) expected.push_back((from[j] - mean) / std::sqrt(square + 1e-5));
        }
    const std::string name = "layer norm, width " + std::to_string(width) + ", groups " + std::to_string(groups) + ", team " + std::to_string(team) + ", " + k.name;
    close(run<T>(k, s, x, batch, width, width, team), expected, tolerance<T>, name);

    Schedule largest;
    largest.buffers = {{Kind::Input, width, 0, -1}, {Kind::Output, groups, 1, -1}};
    largest.step = {on_groups(StageKind::Max, width, groups, buffer(1), buffer(0))};
    std::vector<double> most;
    for (std::size_t at = 0; at < x.size(); at += size) {
        double best = x[at];
        for (int j = 1; j < size; ++j) best = std::fmax(best, x[at + j]);
        most.push_back(best);
    }
    close(run<T>(k, largest, x, batch, width, groups, team), most, 0, name + ": maximum");

    Schedule sums;
    sums.buffers = {{Kind::Input, width, 0, -1}, {Kind::Output, 2 * groups, 1, -1}};
    Stage dot = on_groups(StageKind::Dot, width, groups, buffer(1, groups), buffer(0));
    dot.in[1] = buffer(0);
    sums.step = {on_groups(StageKind::Sum, width, groups, buffer(1), buffer(0)), dot};
    std::vector<double> both;
    for (int r = 0; r < batch; ++r)
        for (int power : {1, 2})
            for (int g = 0; g < groups; ++g) {
                double total = 0;
                for (int j = 0; j < size; ++j) total += std::pow(x[static_cast<std::size_t>(r) * width + g * size + j], power);
                both.push_back(total);
            }
    close(run<T>(k, sums, x, batch, width, 2 * groups, team), both, tolerance<T>, name + ": sum and dot");
}

// The gradient of layer norm, of gradients, standardized columns and moments that stand side by side.
template <class T> void normalised_gradient(const Kernels& k, int batch, int width, int groups, int team) {
    const int size = width / groups, row = 2 * width + 2 * groups;
    const std::vector<T> by = as<T>(Random(width + 2).normals(static_cast<std::size_t>(width)));
    const std::vector<T> x = as<T>(Random(width + 1).normals(static_cast<std::size_t>(batch) * row));
    for (bool scaled : {false, true}) {
        Schedule s;
        s.buffers = {{Kind::Input, row, 0, -1}, {Kind::Output, width, 1, -1}};
        Stage stage = on_groups(StageKind::StandardizeGrad, width, groups, buffer(1), buffer(0));
        stage.in[2] = buffer(0, width), stage.in[3] = buffer(0, 2 * width);
        if (scaled) stage.in[1] = vector(0), s.vector_widths = {width}, s.vector_parts = {{0}};
        s.step = {stage};
        std::vector<double> expected;
        for (int r = 0; r < batch; ++r)
            for (int g = 0; g < groups; ++g) {
                const T *from = &x[static_cast<std::size_t>(r) * row + g * size], *standard = from + width;
                const double scale = x[static_cast<std::size_t>(r) * row + 2 * width + groups + g];
                const auto gradient = [&](int j) { return double{from[j]} * (scaled ? by[g * size + j] : T(1)); };
                double mean = 0, along = 0;
                for (int j = 0; j < size; ++j) mean += gradient(j) / size, along += gradient(j) * standard[j] / size;
                for (int j = 0; j < size; ++j) expected.push_back(scale * (gradient(j) - mean - standard[j] * along));
            }
        const std::string name = "gradient of layer norm, width " + std::to_string(width) + ", groups " + std::to_string(groups) +
                                 (scaled ? ", scaled, " : ", ") + k.name;
        close(run<T>(k, s, x, batch, row, width, team, {const_cast<T*>(by.data())}), expected, tolerance<T>, name);
    }
}

}  // namespace

void test_instructions() {
    for (const std::string& isa : kernel_names()) {
        const Kernels& k = kernels_named(isa);
        for (const Instruction& i : instructions())
            for (int width : {1, 7, 16, 33, 300})
                for (const auto& [batch, team] : {std::pair{1, 1}, std::pair{9, 1}, std::pair{1, 2}, std::pair{9, 2}}) {
                    if (team > 1 && (width != 33 || i.code > Opcode::exp)) continue;  // the threads do not know the code
                    one_instruction<float>(k, i, batch, width, team);
                    one_instruction<double>(k, i, batch, width, team);
                }
        for (const Instruction& i : instructions())
            for (const auto& [width, groups] : {std::pair{33, 1}, {33, 3}, {64, 2}, {1040, 2}})
                for (int team : {1, 2}) {
                    if (team > 1 && i.code > Opcode::exp) continue;
                    shared_values<float>(k, i, 5, width, groups, team);
                    shared_values<double>(k, i, 5, width, groups, team);
                }
        extremes<float>(k);
        extremes<double>(k);
    }
}

void test_groups() {
    for (const std::string& isa : kernel_names())
        for (const auto& [width, groups] : {std::pair{1, 1}, {5, 1}, {33, 3}, {64, 4}, {270, 2}, {8, 8}})
            for (const auto& [batch, team] : {std::pair{1, 1}, std::pair{3, 2}, std::pair{17, 3}}) {
                normalised<float>(kernels_named(isa), batch, width, groups, team);
                normalised<double>(kernels_named(isa), batch, width, groups, team);
                normalised_gradient<float>(kernels_named(isa), batch, width, groups, team);
                normalised_gradient<double>(kernels_named(isa), batch, width, groups, team);
            }
}

}  // namespace steploom::test
