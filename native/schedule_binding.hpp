// A schedule as Python makes it: stage by stage. What is given was checked by steploom/engine/lowering.py.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <iterator>
#include <stdexcept>

#include "schedule.hpp"

namespace steploom {

namespace nb = nanobind;

using OperandSpec = std::tuple<int, int, int, int>;                               // where, index, column, group
using ViewSpec = std::tuple<int, std::int64_t, std::int64_t, std::int64_t>;         // leaf, start, row and column strides
using TermSpec = std::tuple<OperandSpec, int, int>;                                // left, matrix, inner
using OpSpec = std::tuple<std::string, OperandSpec, std::vector<OperandSpec>>;       // name, out, inputs

inline Operand operand(const OperandSpec& spec) {
    return {static_cast<Where>(std::get<0>(spec)), std::get<1>(spec), std::get<2>(spec), std::get<3>(spec)};
}

// What is not an input of an elementwise pass has a value for each column.
inline Operand whole(const OperandSpec& spec) {
    if (std::get<3>(spec) != 0) throw std::invalid_argument("columns share a value where each must have its own");
    return operand(spec);
}

inline Opcode opcode(const std::string& name) {
    for (std::size_t i = 0; i < std::size(opcode_names); ++i)
        if (name == opcode_names[i]) return static_cast<Opcode>(i);
    throw std::invalid_argument("the native core has no instruction '" + name + "'");
}

inline std::vector<Stage>& part(Schedule& s, const std::string& name) {
    return name == "before" ? s.before : name == "step" ? s.step : s.after;
}

inline void add_product(Schedule& s, const std::string& where, int width, const OperandSpec& out, const OperandSpec& init,
                 const std::vector<TermSpec>& terms) {
    if (terms.empty() || terms.size() > most_terms)
        throw std::invalid_argument("a product stage has 1 to " + std::to_string(most_terms) + " terms");
    Stage stage;
    stage.kind = StageKind::Product;
    stage.width = width;
    stage.out = whole(out);
    stage.init = whole(init);
    for (const auto& [left, matrix, inner] : terms) {
        stage.terms.push_back({whole(left), matrix});
        stage.inners.push_back(inner);
    }
    part(s, where).push_back(std::move(stage));
}

inline void add_elementwise(Schedule& s, const std::string& where, int width, const std::vector<OpSpec>& ops) {
    Stage stage;
    stage.kind = StageKind::Elementwise;
    stage.width = width;
    for (const auto& [name, out, inputs] : ops) {
        ElementOp op;
        op.code = opcode(name);
        op.out = whole(out);
        if (inputs.size() > 3) throw std::invalid_argument("an instruction has at most 3 inputs");
        for (std::size_t i = 0; i < inputs.size(); ++i) op.in[i] = operand(inputs[i]);
        if (op.code == Opcode::expand && op.in[0].group < 1) throw std::invalid_argument("expand repeats each value at least once");
        stage.ops.push_back(op);
    }
    part(s, where).push_back(std::move(stage));
}

inline StageKind kind_of(const std::string& name, const std::vector<std::pair<const char*, StageKind>>& kinds) {
    for (const auto& [known, kind] : kinds)
        if (name == known) return kind;
    throw std::invalid_argument("the native core has no stage '" + name + "'");
}

inline StageKind on_groups(const std::string& name) {
    return kind_of(name, {{"sum", StageKind::Sum},
                          {"max", StageKind::Max},
                          {"dot", StageKind::Dot},
                          {"moments", StageKind::Moments},
                          {"standardize", StageKind::Standardize},
                          {"standardize_grad", StageKind::StandardizeGrad},
                          {"scaled_standardize_grad", StageKind::StandardizeGrad}});
}

inline void add_on_groups(Schedule& s, const std::string& where, const std::string& name, int width, int groups, double epsilon,
                   const OperandSpec& out, const std::vector<OperandSpec>& inputs) {
    Stage stage;
    stage.kind = on_groups(name);
    stage.width = width;
    stage.groups = groups;
    stage.epsilon = epsilon;
    stage.out = whole(out);
    if (inputs.size() > std::size(stage.in)) throw std::invalid_argument("a stage has at most 4 inputs");
    for (std::size_t i = 0; i < inputs.size(); ++i) stage.in[i] = whole(inputs[i]);
    part(s, where).push_back(std::move(stage));
}

inline void add_gather(Schedule& s, const std::string& where, const OperandSpec& out, const OperandSpec& input,
                const std::vector<std::tuple<int, int, int>>& stretches) {
    Stage stage;
    stage.kind = StageKind::Gather;
    stage.out = whole(out);
    stage.in[0] = whole(input);
    for (const auto& [first, count, step] : stretches) {
        stage.stretches.push_back({first, count, step});
        stage.width += count;
    }
    part(s, where).push_back(std::move(stage));
}

inline void add_matmul(Schedule& s, const std::string& where, const OperandSpec& out, const OperandSpec& left, const OperandSpec& right,
                int groups, int n, int k, int m, int left_transposed, int right_transposed) {
    if (left_transposed && right_transposed) throw std::invalid_argument("one of the two matrices lies as it is");
    Stage stage;
    stage.kind = StageKind::Matmul;
    stage.width = groups * n * m;
    stage.groups = groups;
    stage.matmul = {n, k, m, left_transposed != 0, right_transposed != 0};
    stage.out = whole(out);
    stage.in[0] = whole(left);
    stage.in[1] = whole(right);
    part(s, where).push_back(std::move(stage));
}

inline void add_along(Schedule& s, const std::string& where, const std::string& name, int groups, int n, int count, int descending,
               int last, const OperandSpec& out, const std::vector<OperandSpec>& inputs) {
    Stage stage;
    stage.kind = kind_of(name, {{"argsort", StageKind::Argsort}, {"take_along", StageKind::TakeAlong}, {"put_along", StageKind::PutAlong}});
    if (inputs.size() != (stage.kind == StageKind::Argsort ? 1 : 2)) throw std::invalid_argument(name + " has other inputs");
    stage.width = groups * (stage.kind == StageKind::PutAlong ? n : count);
    stage.groups = groups;
    stage.along = {n, count, descending != 0, last != 0};
    stage.out = whole(out);
    for (std::size_t i = 0; i < inputs.size(); ++i) stage.in[i] = whole(inputs[i]);
    part(s, where).push_back(std::move(stage));
}

inline void bind_schedule(nb::module_& m) {
    nb::class_<Schedule>(m, "Schedule")
        .def("__init__",
             [](Schedule* s, bool descending, const std::vector<std::tuple<int, int, int, int>>& buffers,
                const std::vector<int>& saved_widths, const std::vector<double>& constants,
                const std::vector<int>& vector_widths, const std::vector<std::vector<int>>& vector_parts, int registers,
                int states) {
                 new (s) Schedule();
                 s->descending = descending;
                 for (const auto& [kind, width, external, saved] : buffers)
                     s->buffers.push_back({static_cast<Kind>(kind), width, external, saved});
                 s->saved_widths = saved_widths;
                 s->constants = constants;
                 s->vector_widths = vector_widths;
                 s->vector_parts = vector_parts;
                 s->registers = registers;
                 s->states = states;
             })
        .def("product", &add_product)
        .def("elementwise", &add_elementwise)
        .def("on_groups", &add_on_groups)
        .def("gather", &add_gather)
        .def("matmul", &add_matmul)
        .def("along", &add_along)
        .def("weight_gradient",
             [](Schedule& s, int matrix, const OperandSpec& grad, const OperandSpec& left, int n, int k, bool fresh) {
                 s.weight_gradients.push_back({matrix, whole(grad), whole(left), n, k, fresh});
             })
        .def("vector_gradient",
             [](Schedule& s, int vector, int column, const OperandSpec& value, const OperandSpec& by, int width, bool fresh) {
                 s.vector_gradients.push_back({vector, column, whole(value), whole(by), width, fresh});
             })
        .def("weights", [](Schedule& s, const std::vector<ViewSpec>& matrices, const std::vector<std::pair<int, std::int64_t>>& vectors,
                           const std::vector<int>& gradient_leaves) {
            for (const auto& [leaf, start, row, column] : matrices) s.matrices.push_back({leaf, start, row, column});
            for (const auto& [leaf, start] : vectors) s.vectors.push_back({leaf, start, 0, 1});
            s.gradient_leaves = gradient_leaves;
        });
}

}  // namespace steploom
