// LSTM schedules on every build of the kernels, cut up in every way, against the plain loop and against each other.
#include <thread>

#include "lstm_by_hand.hpp"
#include "lstm_schedule.hpp"
#include "tests.hpp"

namespace steploom::test {
namespace {

// How the caller's weights and their gradients stand in memory.
enum class Layout { Rows, Columns, Apart };

struct Way {
    const Kernels* kernels;
    int slices, team;
    Layout layout;
    bool one_product;
    std::string name() const {
        return std::string(kernels->name) + ", slices " + std::to_string(slices) + ", team " + std::to_string(team) +
               ", layout " + std::to_string(static_cast<int>(layout)) + (one_product ? ", one product" : "");
    }
};

// A matrix in a vector that is exactly as long as it needs to be, so that AddressSanitizer sees every step outside.
template <class T> struct Placed {
    std::vector<T> data;
    std::int64_t row, column;
    int rows, columns;
    Placed(const std::vector<double>& from, int height, int width, Layout layout) : rows(height), columns(width) {
        row = layout == Layout::Columns ? 1 : layout == Layout::Rows ? width : 2 * width;
        column = layout == Layout::Columns ? height : layout == Layout::Rows ? 1 : 2;
        data.assign((rows - 1) * row + (columns - 1) * column + 1, T(0));
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; ++j) data[i * row + j * column] = static_cast<T>(from[i * columns + j]);
    }
    std::vector<T> values() const {
        std::vector<T> out;
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; ++j) out.push_back(data[i * row + j * column]);
        return out;
    }
};

template <class T> MatrixView view(Placed<T>& m, Placed<T>* gradient, bool transposed) {
    MatrixView v;
    v.data = m.data.data();
    v.row_stride = transposed ? m.column : m.row;
    v.column_stride = transposed ? m.row : m.column;
    if (gradient) v.gradient = gradient->data.data(), v.gradient_row_stride = gradient->row, v.gradient_column_stride = gradient->column;
    return v;
}

template <class T> bool run(const Kernels& k, const Schedule& schedule, const Call& call) {
    return sizeof(T) == 4 ? k.run_f32(schedule, call) : k.run_f64(schedule, call);
}

template <class T> struct Got {
    std::vector<T> y, h, c, inference_y, dx, dh, dc, dw, du, db, dreset_h, dreset_c;
};

template <class T> Got<T> by_core(const Problem& p, const Way& way) {
    const auto [time, batch, input, hidden] = p.shape;
    const std::int64_t I = input, H = hidden, B = batch, T_ = time;
    std::vector<T> x = as<T>(p.x), h = as<T>(p.h), c = as<T>(p.c), b = as<T>(p.b), d = as<T>(p.d), dy = as<T>(p.dy),
                   dh = as<T>(p.dh), dc = as<T>(p.dc), reset_h = as<T>(p.reset_h), reset_c = as<T>(p.reset_c);
    Placed<T> w(p.w, 4 * hidden, input, way.layout), u(p.u, 4 * hidden, hidden, way.layout);
    Got<T> got;
    got.y.assign(T_ * B * H, 0), got.inference_y.assign(T_ * B * H, 0), got.h.assign(B * H, 0), got.c.assign(B * H, 0);
    const std::int64_t* lengths = p.lengths.empty() ? nullptr : p.lengths.data();
    std::vector<T> saved(saved_elements(std::vector<int>(7, hidden), T_, B, lengths, way.slices));

    Call forward;
    forward.time = T_, forward.batch = B, forward.lengths = lengths, forward.reversed = p.reversed;
    forward.resets = p.resets.empty() ? nullptr : p.resets.data();
    forward.sequences = {{x.data(), B * I, I}, {got.y.data(), B * H, H}};
    forward.state_in = {h.data(), c.data()};
    forward.state_out = {got.h.data(), got.c.data()};
    forward.state_reset = {reset_h.data(), reset_c.data()};
    forward.matrices = {view<T>(w, nullptr, false), view<T>(u, nullptr, false)};
    forward.vectors = {b.data(), d.data()};
    forward.saved = saved.data();
    forward.slices = way.slices, forward.team = way.team;
    check(run<T>(*way.kernels, lstm_forward(input, hidden, true, way.one_product), forward), "the forward pass finishes");

    Call inference = forward;
    inference.sequences[1].data = got.inference_y.data();
    inference.state_out = {nullptr, nullptr};
    inference.saved = nullptr;
    run<T>(*way.kernels, lstm_forward(input, hidden, false, way.one_product), inference);

    got.dx.assign(T_ * B * I, 0), got.dh.assign(B * H, 0), got.dc.assign(B * H, 0), got.db.assign(4 * H, 0);
    got.dreset_h.assign(B * H, 0), got.dreset_c.assign(B * H, 0);
    Placed<T> dw(std::vector<double>(4 * H * I), 4 * hidden, input, way.layout), du(std::vector<double>(4 * H * H), 4 * hidden, hidden, way.layout);
    Call backward = forward;
    backward.sequences = {{x.data(), B * I, I}, {dy.data(), B * H, H}, {got.dx.data(), B * I, I}};
    backward.state_in = {dh.data(), dc.data()};
    backward.state_out = {got.dh.data(), got.dc.data()};
    backward.state_reset = {got.dreset_h.data(), got.dreset_c.data()};
    backward.matrices = {view(w, &dw, false), view(u, &du, false), view<T>(w, nullptr, true), view<T>(u, nullptr, true)};
    backward.vectors = {};
    backward.vector_gradients = {got.db.data()};
    check(run<T>(*way.kernels, lstm_backward(input, hidden), backward), "the backward pass finishes");
    got.dw = dw.values(), got.du = du.values();
    return got;
}

template <class T, class B> void same(const Got<T>& got, const B& expected, double tolerance, const std::string& name) {
    close(got.y, expected.y, tolerance, name + ": y");
    close(got.inference_y, expected.y, tolerance, name + ": y where nothing is saved");
    close(got.h, expected.h, tolerance, name + ": h");
    close(got.c, expected.c, tolerance, name + ": c");
    close(got.dx, expected.dx, tolerance, name + ": dx");
    close(got.dh, expected.dh, tolerance, name + ": dh");
    close(got.dc, expected.dc, tolerance, name + ": dc");
    close(got.dw, expected.dw, tolerance, name + ": dW");
    close(got.du, expected.du, tolerance, name + ": dU");
    close(got.db, expected.db, tolerance, name + ": db");
    close(got.dreset_h, expected.dreset_h, tolerance, name + ": gradient of the h after a reset");
    close(got.dreset_c, expected.dreset_c, tolerance, name + ": gradient of the c after a reset");
}

template <class T> void every_way(const Problem& p, const std::string& name, int number) {
    const Results expected = by_hand(p);
    const std::pair<int, int> cuts[] = {{2, 1}, {1, 2}, {3, 1}, {1, 3}};
    for (const std::string& isa : kernel_names()) {
        const Layout layout = static_cast<Layout>(number % 3);
        const bool one_product = number % 2 == 1;
        const auto run_with = [&](int slices, int team) {
            const Way way{&kernels_named(isa), slices, team, layout, one_product};
            const std::string where = name + (sizeof(T) == 4 ? ", float, " : ", double, ") + way.name();
            const Got<T> got = by_core<T>(p, way);
            same(got, expected, tolerance<T>, where);
            return std::pair{got, where};
        };
        const Got<T> alone = run_with(1, 1).first;
        // Each case takes two of the ways to share the work; together they take all. How it is shared must not be seen.
        for (int i = 0; i < 2; ++i) {
            const auto& [slices, team] = cuts[(2 * number + i) % 4];
            if (slices > p.shape.batch || (team > 2 && p.shape.time > 10)) continue;
            const auto [got, where] = run_with(slices, team);
            same(got, alone, sizeof(T) == 4 ? 4e-6 : 1e-13, where + " against one thread");
        }
        ++number;
    }
}

}  // namespace

void test_lstm() {
    const Shape shapes[] = {{1, 1, 1, 1},  {3, 2, 5, 7},   {7, 1, 3, 16},  {5, 9, 4, 33},  {2, 31, 17, 40},
                            {40, 5, 8, 20}, {140, 4, 6, 12}, {4, 3, 130, 70},
                            {9, 2, 5, 64},  {9, 5, 3, 96},
                            {14, 16, 64, 66}};  // of digits, where there are tiles
    int number = 0;
    for (const Shape& shape : shapes)
        for (int mode = 0; mode < 8; ++mode) {
            const bool lengths = mode & 1, reversed = mode & 2, resets = mode & 4;
            // The long ones cost much under a sanitizer; the modes they add are there with and without all three.
            if (shape.time * shape.batch * shape.hidden > 4000 && mode != 0 && mode != 7) continue;
            const Problem p(shape, lengths, reversed, resets, 17 * mode + shape.hidden);
            const std::string name = "T " + std::to_string(shape.time) + " B " + std::to_string(shape.batch) + " I " +
                                     std::to_string(shape.input) + " H " + std::to_string(shape.hidden) +
                                     (lengths ? " lengths" : "") + (reversed ? " reversed" : "") + (resets ? " resets" : "");
            every_way<float>(p, name, number++);
            every_way<double>(p, name, number++);
        }
}

// One schedule, several callers at the same time, each with threads of its own.
void test_callers() {
    const Problem p({20, 6, 5, 19}, true, false, true, 5);
    const Results expected = by_hand(p);
    std::vector<Got<float>> got(4);
    std::vector<std::thread> callers;
    for (std::size_t n = 0; n < got.size(); ++n)
        callers.emplace_back([&, n] {
            const Way way{&kernels_named(""), n % 2 ? 2 : 1, n % 2 ? 1 : 2, Layout::Rows, false};
            for (int repeat = 0; repeat < 3; ++repeat) got[n] = by_core<float>(p, way);
        });
    for (std::thread& caller : callers) caller.join();
    for (const Got<float>& one : got) same(one, expected, tolerance<float>, "several callers");
}

// Calls that add to gradients, with weights that the first of them has packed.
template <class T> void added(int rows, int slices, int team) {
    const Problem p({250, rows, 3, 20}, false, false, false, 11);  // several chunks
    const auto [time, batch, input, hidden] = p.shape;
    const std::int64_t I = input, H = hidden, B = batch;
    std::vector<T> x = as<T>(p.x), w = as<T>(p.w), u = as<T>(p.u), b = as<T>(p.b), d = as<T>(p.d), dy = as<T>(p.dy);
    std::vector<T> y(time * B * H), dx(x.size()), saved(saved_elements(std::vector<int>(7, hidden), time, B, nullptr, slices));
    Call forward;
    forward.time = time, forward.batch = B, forward.slices = slices, forward.team = team;
    forward.sequences = {{x.data(), B * I, I}, {y.data(), B * H, H}};
    forward.state_in = forward.state_out = forward.state_reset = {nullptr, nullptr};
    forward.matrices = {{w.data(), I, 1, nullptr, 0, 0}, {u.data(), H, 1, nullptr, 0, 0}};
    forward.vectors = {b.data(), d.data()};
    forward.saved = saved.data();
    KeptWeights kept;
    forward.kept_weights = &kept;
    const Kernels& k = kernels_named("");
    const Schedule there = lstm_forward(input, hidden, true, false);
    Schedule back = lstm_backward(input, hidden);
    for (WeightGradient& g : back.weight_gradients) g.fresh = true;
    for (VectorGradient& g : back.vector_gradients) g.fresh = true;
    run<T>(k, there, forward);
    const std::vector<T> first = y;
    std::vector<T> dw(w.size(), T(7)), du(u.size(), T(7)), db(b.size(), T(7));  // written over by the first call
    Call backward = forward;
    backward.sequences = {{x.data(), B * I, I}, {dy.data(), B * H, H}, {dx.data(), B * I, I}};
    backward.matrices = {{w.data(), I, 1, dw.data(), I, 1}, {u.data(), H, 1, du.data(), H, 1},
                         {w.data(), 1, I, nullptr, 0, 0}, {u.data(), 1, H, nullptr, 0, 0}};
    backward.vectors = {}, backward.vector_gradients = {db.data()};
    run<T>(k, back, backward);
    const std::vector<T> dw_once = dw, du_once = du, db_once = db, dx_once = dx;
    // Whoever keeps packed weights says that they stay as they are: these would be seen if they were packed again.
    std::fill(w.begin(), w.end(), T(9)), std::fill(u.begin(), u.end(), T(9));
    run<T>(k, there, forward);
    backward.adds = true;
    run<T>(k, back, backward);
    const std::string name = "adding, rows " + std::to_string(rows) + ", slices " + std::to_string(slices) + ", team " + std::to_string(team);
    const auto twice = [](std::vector<T> v) {
        for (T& value : v) value *= 2;
        return v;
    };
    close(y, first, 0, name + ": y");
    close(dx, dx_once, 0, name + ": dx");
    close(dw, twice(dw_once), tolerance<T>, name + ": dW");
    close(du, twice(du_once), tolerance<T>, name + ": dU");
    close(db, twice(db_once), tolerance<T>, name + ": db");
}

void test_calls_that_add() {
    for (const int rows : {5, 19})  // many are summed up at each step
        for (const auto& [slices, team] : {std::pair{1, 1}, {2, 1}, {1, 2}}) added<float>(rows, slices, team), added<double>(rows, slices, team);
}

// What is asked between chunks is heeded: an endless computation would not be one.
void test_interruption() {
    static int asked;
    asked = 0;
    const int T = 20000, B = 1, I = 1, H = 3;
    std::vector<float> x(T * B * I, 1.f), y(T * B * H), w(4 * H * I), u(4 * H * H), b(4 * H);
    Call call;
    call.time = T, call.batch = B;
    call.sequences = {{x.data(), B * I, I}, {y.data(), B * H, H}};
    call.state_in = {nullptr, nullptr}, call.state_out = {nullptr, nullptr}, call.state_reset = {nullptr, nullptr};
    call.matrices = {{w.data(), I, 1, nullptr, 0, 0}, {u.data(), H, 1, nullptr, 0, 0}};
    call.vectors = {b.data(), b.data()};
    call.interrupted = [] { return ++asked == 2; };
    check(!kernels_named("").run_f32(lstm_forward(I, H, false, false), call), "an interrupted call says so");
    check(asked == 2, "nothing is asked after an interruption");
}

}  // namespace steploom::test
