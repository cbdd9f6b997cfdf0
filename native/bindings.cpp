// The only file that knows Python. It binds and does nothing else: what it is given was checked by steploom/engine.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "instruction_sets.hpp"
#include "memory.hpp"
#include "schedule.hpp"

namespace nb = nanobind;
using namespace steploom;

namespace {

using OperandSpec = std::tuple<int, int, int>;                                    // where, index, column
using TermSpec = std::tuple<OperandSpec, int, int>;                                // left, matrix, inner
using OpSpec = std::tuple<std::string, OperandSpec, std::vector<OperandSpec>, int>;  // name, out, inputs, group

Operand operand(const OperandSpec& spec) {
    return {static_cast<Where>(std::get<0>(spec)), std::get<1>(spec), std::get<2>(spec)};
}

Opcode opcode(const std::string& name) {
    for (std::size_t i = 0; i < std::size(opcode_names); ++i)
        if (name == opcode_names[i]) return static_cast<Opcode>(i);
    throw std::invalid_argument("the native core has no instruction '" + name + "'");
}

std::vector<Stage>& part(Schedule& s, const std::string& name) {
    return name == "before" ? s.before : name == "step" ? s.step : s.after;
}

void add_product(Schedule& s, const std::string& where, int width, const OperandSpec& out, const OperandSpec& init,
                 const std::vector<TermSpec>& terms) {
    if (terms.empty() || terms.size() > 8) throw std::invalid_argument("a product stage has 1 to 8 terms");
    Stage stage;
    stage.kind = StageKind::Product;
    stage.width = width;
    stage.out = operand(out);
    stage.init = operand(init);
    for (const auto& [left, matrix, inner] : terms) {
        stage.terms.push_back({operand(left), matrix});
        stage.inners.push_back(inner);
    }
    part(s, where).push_back(std::move(stage));
}

void add_elementwise(Schedule& s, const std::string& where, int width, const std::vector<OpSpec>& ops) {
    Stage stage;
    stage.kind = StageKind::Elementwise;
    stage.width = width;
    for (const auto& [name, out, inputs, group] : ops) {
        ElementOp op;
        op.code = opcode(name);
        op.out = operand(out);
        op.group = group;
        if (inputs.size() > 3) throw std::invalid_argument("an instruction has at most 3 inputs");
        for (std::size_t i = 0; i < inputs.size(); ++i) op.in[i] = operand(inputs[i]);
        stage.ops.push_back(op);
    }
    part(s, where).push_back(std::move(stage));
}

void add_reduction(Schedule& s, const std::string& where, bool largest, int width, int groups, const OperandSpec& out,
                   const OperandSpec& in) {
    Stage stage;
    stage.kind = largest ? StageKind::Max : StageKind::Sum;
    stage.width = width;
    stage.groups = groups;
    stage.out = operand(out);
    stage.in = operand(in);
    part(s, where).push_back(std::move(stage));
}

using Pointer = std::uintptr_t;
template <class T = void> T* pointer(Pointer p) { return reinterpret_cast<T*>(p); }

std::vector<void*> pointers(const std::vector<Pointer>& list) {
    std::vector<void*> out;
    for (Pointer p : list) out.push_back(pointer(p));
    return out;
}

// Signals are handled in Python's main thread alone; elsewhere this finds nothing.
bool interrupted() {
    nb::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

const Kernels& chosen(const std::string& isa) {
    if (isa.empty()) return kernels();
    if (const Kernels* k = kernels_named(isa)) return *k;
    std::string names;
    for (const std::string& name : kernel_names()) names += (names.empty() ? "" : ", ") + name;
    throw std::invalid_argument("this processor has no kernels '" + isa + "'; it has " + names);
}

void run(const Schedule& schedule, bool is_double, const std::string& isa, std::int64_t time, std::int64_t batch,
         Pointer lengths, bool reversed, Pointer resets,
         const std::vector<std::tuple<Pointer, std::int64_t, std::int64_t>>& sequences,
         const std::vector<Pointer>& state_in, const std::vector<Pointer>& state_out,
         const std::vector<Pointer>& state_reset,
         const std::vector<std::tuple<Pointer, std::int64_t, std::int64_t, Pointer, std::int64_t, std::int64_t>>& matrices,
         const std::vector<Pointer>& vectors, const std::vector<Pointer>& vector_gradients, Pointer saved, int slices,
         int team) {
    Call call;
    call.time = time;
    call.batch = batch;
    call.lengths = pointer<const std::int64_t>(lengths);
    call.reversed = reversed;
    call.resets = pointer<const std::uint8_t>(resets);
    for (const auto& [data, time_stride, batch_stride] : sequences)
        call.sequences.push_back({pointer(data), time_stride, batch_stride});
    call.state_in = pointers(state_in);
    call.state_out = pointers(state_out);
    call.state_reset = pointers(state_reset);
    for (const auto& [data, row, column, gradient, gradient_row, gradient_column] : matrices)
        call.matrices.push_back({pointer(data), row, column, pointer(gradient), gradient_row, gradient_column});
    call.vectors = pointers(vectors);
    call.vector_gradients = pointers(vector_gradients);
    call.saved = pointer(saved);
    call.slices = slices;
    call.team = team;
    call.interrupted = &interrupted;
    const Kernels& k = chosen(isa);
    bool finished = false;
    {
        nb::gil_scoped_release release;
        finished = is_double ? k.run_f64(schedule, call) : k.run_f32(schedule, call);
    }
    if (!finished) throw nb::python_error();
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The compiled core of Steploom.";
    nb::set_leak_warnings(false);  // plans live in caches until the process ends
    m.def("version", [] { return std::string(STEPLOOM_VERSION); }, "The version of the package that this core was built with.");
    m.def("instruction_sets", &instruction_sets,
          "The vector instruction sets that this processor and its operating system support, oldest first.");
    m.def("kernels", &kernel_names, "The builds of the kernels that this processor can run, the fastest first.");
    m.def("opcodes", [] { return std::vector<std::string>(std::begin(opcode_names), std::end(opcode_names)); },
          "The names of the elementwise instructions.");
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
        .def("reduction", &add_reduction)
        .def("weight_gradient",
             [](Schedule& s, int matrix, const OperandSpec& grad, const OperandSpec& left, int n, int k) {
                 s.weight_gradients.push_back({matrix, operand(grad), operand(left), n, k});
             })
        .def("vector_gradient", [](Schedule& s, int vector, int column, const OperandSpec& value, int width) {
            s.vector_gradients.push_back({vector, column, operand(value), width});
        });
    m.def("run", &run);
    m.def("saved_elements",
          [](const std::vector<int>& widths, std::int64_t time, std::int64_t batch, Pointer lengths, int slices) {
              return saved_elements(widths, time, batch, pointer<const std::int64_t>(lengths), slices);
          });
    m.def("prefer_large_pages", [](Pointer data, std::size_t bytes) { prefer_large_pages(pointer(data), bytes); });
}
