// The schedules of an LSTM, written by hand.
#pragma once

#include "../schedule.hpp"

namespace steploom::test {

inline Operand buffer(int index, int column = 0) { return {Where::Buffer, index, column}; }
inline Operand state_out(int index) { return {Where::StateOut, index, 0}; }
inline Operand reg(int index) { return {Where::Register, index, 0}; }
inline Operand vector(int index, int column = 0) { return {Where::Vector, index, column}; }
inline Operand constant(int index) { return {Where::Constant, index, 0}; }

inline ElementOp op(Opcode code, Operand out, Operand a, Operand b = {}, Operand c = {}) {
    ElementOp made;
    made.code = code;
    made.out = out;
    made.in[0] = a, made.in[1] = b, made.in[2] = c;
    return made;
}

inline Stage product(int width, Operand out, Operand init, Operand left, int matrix, int inner) {
    Stage stage{};
    stage.kind = StageKind::Product;
    stage.width = width;
    stage.out = out, stage.init = init;
    stage.terms = {{left, matrix}};
    stage.inners = {inner};
    return stage;
}

inline Stage elementwise(int width, std::vector<ElementOp> ops) {
    Stage stage{};
    stage.kind = StageKind::Elementwise;
    stage.width = width;
    stage.ops = std::move(ops);
    return stage;
}

inline Stage on_groups(StageKind kind, int width, int groups, Operand out, Operand in) {
    Stage stage{};
    stage.kind = kind;
    stage.width = width;
    stage.groups = groups;
    stage.out = out, stage.in[0] = in;
    return stage;
}

// Sequences: 0 is x, 1 is y. Matrices: W, U. Vectors: b, d. Saved: h, c, i, f, g, o, tanh(c).
// `one_product`: W x and U h in one product a step, not W x for many steps at once.
inline Schedule lstm_forward(int I, int H, bool training, bool one_product) {
    Schedule s;
    const auto saved = [&](int region) { return training ? BufferSpec{Kind::Saved, H, region, -1} : BufferSpec{Kind::Step, H, -1, -1}; };
    s.buffers = {{Kind::Input, I, 0, -1},
                 {Kind::State, H, 0, training ? 0 : -1},
                 {Kind::State, H, 1, training ? 1 : -1},
                 {Kind::Output, H, 1, -1},
                 {Kind::Chunk, 4 * H, -1, -1},
                 {Kind::Step, 4 * H, -1, -1},
                 saved(2), saved(3), saved(4), saved(5), saved(6)};
    enum { x, h, c, y, a, z, i, f, g, o, tc };
    if (training) s.saved_widths = {H, H, H, H, H, H, H};
    s.vector_widths = {4 * H};
    s.vector_parts = {{0, 1}};
    s.registers = 1;
    s.states = 2;
    if (one_product) {
        s.step.push_back(product(4 * H, buffer(z), vector(0), buffer(x), 0, I));
        s.step.back().terms.push_back({buffer(h), 1});
        s.step.back().inners.push_back(H);
    } else {
        s.before.push_back(product(4 * H, buffer(a), vector(0), buffer(x), 0, I));
        s.step.push_back(product(4 * H, buffer(z), buffer(a), buffer(h), 1, H));
    }
    s.step.push_back(elementwise(H, {op(Opcode::sigmoid, buffer(i), buffer(z)),
                                     op(Opcode::sigmoid, buffer(f), buffer(z, H)),
                                     op(Opcode::tanh, buffer(g), buffer(z, 2 * H)),
                                     op(Opcode::sigmoid, buffer(o), buffer(z, 3 * H)),
                                     op(Opcode::mul, reg(0), buffer(i), buffer(g)),
                                     op(Opcode::fma, state_out(c), buffer(f), buffer(c), reg(0)),
                                     op(Opcode::tanh, buffer(tc), state_out(c)),
                                     op(Opcode::mul, state_out(h), buffer(o), buffer(tc)),
                                     op(Opcode::copy, buffer(y), state_out(h))}));
    return s;
}

// Sequences: 0 is x, 1 is dy, 2 is dx. Matrices: W and U, which get gradients, and their transposes.
inline Schedule lstm_backward(int I, int H) {
    Schedule s;
    s.descending = true;
    s.buffers = {{Kind::Input, I, 0, -1}, {Kind::Saved, H, 0, -1}, {Kind::Saved, H, 1, -1}, {Kind::Saved, H, 2, -1},
                 {Kind::Saved, H, 3, -1}, {Kind::Saved, H, 4, -1}, {Kind::Saved, H, 5, -1}, {Kind::Saved, H, 6, -1},
                 {Kind::State, H, 0, -1}, {Kind::State, H, 1, -1}, {Kind::Input, H, 1, -1}, {Kind::Output, I, 2, -1},
                 {Kind::Chunk, 4 * H, -1, -1}};
    enum { x, h, c, i, f, g, o, tc, dh, dc, dy, dx, dz };
    s.saved_widths = {H, H, H, H, H, H, H};
    s.registers = 3;
    s.states = 2;
    s.step = {elementwise(H, {op(Opcode::add, reg(0), buffer(dh), buffer(dy)),
                              op(Opcode::mul, reg(1), reg(0), buffer(tc)),
                              op(Opcode::sigmoid_grad, buffer(dz, 3 * H), reg(1), buffer(o)),
                              op(Opcode::mul, reg(0), reg(0), buffer(o)),
                              op(Opcode::tanh_grad, reg(0), reg(0), buffer(tc)),
                              op(Opcode::add, reg(0), buffer(dc), reg(0)),
                              op(Opcode::mul, reg(2), reg(0), buffer(c)),
                              op(Opcode::sigmoid_grad, buffer(dz, H), reg(2), buffer(f)),
                              op(Opcode::mul, reg(2), reg(0), buffer(g)),
                              op(Opcode::sigmoid_grad, buffer(dz), reg(2), buffer(i)),
                              op(Opcode::mul, reg(2), reg(0), buffer(i)),
                              op(Opcode::tanh_grad, buffer(dz, 2 * H), reg(2), buffer(g)),
                              op(Opcode::mul, state_out(dc), reg(0), buffer(f))}),
              product(H, state_out(dh), {}, buffer(dz), 3, 4 * H)};
    s.after = {product(I, buffer(dx), {}, buffer(dz), 2, 4 * H)};
    s.weight_gradients = {{0, buffer(dz), buffer(x), 4 * H, I}, {1, buffer(dz), buffer(h), 4 * H, H}};
    s.vector_gradients = {{0, 0, buffer(dz), {}, 4 * H}};
    return s;
}

}  // namespace steploom::test
