// Binds, and does nothing else: what it is given was checked by steploom/engine. This file and unchanged.hpp alone know
// Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "instruction_sets.hpp"
#include "memory.hpp"
#include "schedule.hpp"
#include "unchanged.hpp"

namespace nb = nanobind;
using namespace steploom;

namespace {

using OperandSpec = std::tuple<int, int, int, int>;                               // where, index, column, group
using ViewSpec = std::tuple<int, std::int64_t, std::int64_t, std::int64_t>;         // leaf, start, row and column strides
using TermSpec = std::tuple<OperandSpec, int, int>;                                // left, matrix, inner
using OpSpec = std::tuple<std::string, OperandSpec, std::vector<OperandSpec>>;       // name, out, inputs

Operand operand(const OperandSpec& spec) {
    return {static_cast<Where>(std::get<0>(spec)), std::get<1>(spec), std::get<2>(spec), std::get<3>(spec)};
}

// What is not an input of an elementwise pass has a value for each column.
Operand whole(const OperandSpec& spec) {
    if (std::get<3>(spec) != 0) throw std::invalid_argument("columns share a value where each must have its own");
    return operand(spec);
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
    stage.out = whole(out);
    stage.init = whole(init);
    for (const auto& [left, matrix, inner] : terms) {
        stage.terms.push_back({whole(left), matrix});
        stage.inners.push_back(inner);
    }
    part(s, where).push_back(std::move(stage));
}

void add_elementwise(Schedule& s, const std::string& where, int width, const std::vector<OpSpec>& ops) {
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

StageKind on_groups(const std::string& name) {
    static const std::pair<const char*, StageKind> kinds[] = {
        {"sum", StageKind::Sum},         {"max", StageKind::Max},
        {"dot", StageKind::Dot},         {"moments", StageKind::Moments},
        {"standardize", StageKind::Standardize}, {"standardize_grad", StageKind::StandardizeGrad},
        {"scaled_standardize_grad", StageKind::StandardizeGrad}};
    for (const auto& [known, kind] : kinds)
        if (name == known) return kind;
    throw std::invalid_argument("the native core has no stage '" + name + "'");
}

void add_on_groups(Schedule& s, const std::string& where, const std::string& name, int width, int groups, double epsilon,
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

// leaves: where the tensors begin that hold the weights; gradients: of each of them, 0 where none is wanted, or no list.
void run(const Schedule& schedule, bool is_double, const std::string& isa, std::int64_t time, std::int64_t batch,
         Pointer lengths, bool reversed, Pointer resets,
         const std::vector<std::tuple<Pointer, std::int64_t, std::int64_t>>& sequences,
         const std::vector<Pointer>& state_in, const std::vector<Pointer>& state_out,
         const std::vector<Pointer>& state_reset, const std::vector<Pointer>& leaves,
         const std::vector<Pointer>& gradients, Pointer saved, int slices, int team) {
    if (slices < 1 || team < 1 || (slices > 1 && team > 1))
        throw std::invalid_argument("either slices or team may be more than 1");
    Call call;
    call.time = time;
    call.batch = batch;
    call.lengths = pointer<const std::int64_t>(lengths);
    call.reversed = reversed;
    call.resets = pointer<const std::uint8_t>(resets);
    for (const auto& [data, time_stride, batch_stride] : sequences)
        call.sequences.push_back({pointer(data), time_stride, batch_stride});
    // An empty list stands for none of them.
    call.state_in = pointers(state_in);
    call.state_out = pointers(state_out);
    call.state_reset = pointers(state_reset);
    for (auto* states : {&call.state_in, &call.state_out, &call.state_reset})
        states->resize(static_cast<std::size_t>(schedule.states), nullptr);
    const std::int64_t size = is_double ? sizeof(double) : sizeof(float);
    const auto at = [&](const std::vector<Pointer>& list, int leaf, std::int64_t start) {
        const Pointer first = list.empty() ? 0 : list.at(static_cast<std::size_t>(leaf));
        return pointer(first ? first + static_cast<Pointer>(start * size) : 0);
    };
    for (const auto& [leaf, start, row, column] : schedule.matrices)
        call.matrices.push_back({at(leaves, leaf, start), row, column, at(gradients, leaf, start), row, column});
    for (const LeafView& view : schedule.vectors) call.vectors.push_back(at(leaves, view.leaf, view.start));
    for (int leaf : schedule.gradient_leaves) call.vector_gradients.push_back(at(gradients, leaf, 0));
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

using MatrixSpec = std::tuple<Pointer, std::int64_t, std::int64_t>;                               // data, strides
using LayerSpec = std::tuple<const Schedule&, std::vector<MatrixSpec>, std::vector<Pointer>, bool>;  // residual

// A stream as Python calls it: the way from an array to the kernel and back is as short as it can be, since one step of
// a small network takes less than a microsecond.
class StreamCore {
  public:
    // y: a NumPy array that a step writes and that is copied for the caller. convert: makes a NumPy array that fits of
    // any argument, or raises. from_numpy: makes a tensor of an array.
    StreamCore(const std::vector<LayerSpec>& specs, bool is_double, const std::string& isa, std::int64_t batch,
               std::int64_t width, int team, bool releases_lock, nb::object y, nb::object convert, nb::object tensor,
               nb::object from_numpy, nb::object error)
        : format_(is_double ? 'd' : 'f'), rows_(batch), width_(width), releases_lock_(releases_lock), y_(std::move(y)),
          convert_(std::move(convert)), tensor_(std::move(tensor)), from_numpy_(std::move(from_numpy)), error_(std::move(error)),
          copy_(nb::steal(PyUnicode_InternFromString("copy"))), numpy_(nb::steal(PyUnicode_InternFromString("numpy"))),
          array_(nb::borrow(reinterpret_cast<PyObject*>(Py_TYPE(y_.ptr())))) {
        std::vector<StreamLayerSpec> layers;
        for (const auto& [schedule, matrices, vectors, residual] : specs) {
            StreamLayerSpec layer{schedule, {}, pointers(vectors), residual};
            for (const auto& [data, row, column] : matrices) layer.matrices.push_back({pointer(data), row, column, nullptr, 0, 0});
            layers.push_back(std::move(layer));
        }
        const Kernels& k = chosen(isa);
        stream_ = (is_double ? k.stream_f64 : k.stream_f32)(layers, batch, team);
        Py_buffer view;
        if (PyObject_GetBuffer(y_.ptr(), &view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS)) throw nb::python_error();
        out_ = view.buf;
        PyBuffer_Release(&view);
    }

    nb::object push(nb::handle x) {
        PyObject* given = x.ptr();
        bool is_tensor = reinterpret_cast<PyObject*>(Py_TYPE(given)) == tensor_.ptr();
        nb::object array;
        if (is_tensor) {
            array = nb::steal(PyObject_CallMethodNoArgs(given, numpy_.ptr()));
            if (!array.is_valid()) PyErr_Clear();  // needs a gradient, or has no such array: `convert` knows
        } else if (reinterpret_cast<PyObject*>(Py_TYPE(given)) == array_.ptr()) {
            array = nb::borrow(x);
        }
        if (!array.is_valid() || !step(array)) {
            array = convert_(x);
            if (!step(array)) throw std::invalid_argument("x was converted to an array that does not fit");
            is_tensor = PyObject_IsInstance(given, tensor_.ptr()) == 1;
        }
        PyObject* y = PyObject_CallMethodNoArgs(y_.ptr(), copy_.ptr());
        busy_.clear(std::memory_order_release);
        if (!y) throw nb::python_error();
        nb::object result = nb::steal(y);
        if (!is_tensor) return result;
        PyObject* tensor = PyObject_CallOneArg(from_numpy_.ptr(), result.ptr());
        if (!tensor) throw nb::python_error();
        return nb::steal(tensor);
    }

    // `steps` steps on x (steps, batch, width) without Python.
    void run(Pointer x, Pointer y, std::int64_t steps, std::int64_t x_step, std::int64_t y_step) {
        const Turn turn(*this);
        nb::gil_scoped_release release;
        for (std::int64_t t = 0; t < steps; ++t) stream_->push(pointer<char>(x) + t * x_step, pointer<char>(y) + t * y_step);
    }

    void read_state(int layer, int state, Pointer to) {
        const Turn turn(*this);
        stream_->read_state(layer, state, pointer(to));
    }

    void write_state(int layer, int state, Pointer from, Pointer mask) {
        const Turn turn(*this);
        stream_->write_state(layer, state, pointer(from), pointer<const std::uint8_t>(mask));
    }

  private:
    const char format_;
    const std::int64_t rows_, width_;
    const bool releases_lock_;
    const nb::object y_, convert_, tensor_, from_numpy_, error_, copy_, numpy_, array_;
    std::unique_ptr<Stream> stream_;
    void* out_ = nullptr;
    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;

    [[noreturn]] void refuse() {
        PyErr_SetString(error_.ptr(), "Two threads use one stream at the same time. Open one for each thread: rnn.stream(batch).");
        throw nb::python_error();
    }
    struct Turn {
        StreamCore& core;
        explicit Turn(StreamCore& c) : core(c) {
            if (core.busy_.test_and_set(std::memory_order_acquire)) core.refuse();
        }
        ~Turn() { core.busy_.clear(std::memory_order_release); }
    };

    // False where the array does not fit; otherwise the step is made and the turn is kept until y is copied.
    bool step(const nb::object& array) {
        Py_buffer view;
        if (PyObject_GetBuffer(array.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
            PyErr_Clear();
            return false;
        }
        const bool fits = view.ndim == 2 && view.shape[0] == rows_ && view.shape[1] == width_ && view.format[0] == format_ &&
                          view.format[1] == 0;
        if (!fits) {
            PyBuffer_Release(&view);
            return false;
        }
        if (busy_.test_and_set(std::memory_order_acquire)) {
            PyBuffer_Release(&view);
            refuse();
        }
        if (releases_lock_) {
            nb::gil_scoped_release release;
            stream_->push(view.buf, out_);
        } else {
            stream_->push(view.buf, out_);
        }
        PyBuffer_Release(&view);
        return true;
    }
};

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
        .def("on_groups", &add_on_groups)
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
    m.def("run", &run);
    nb::class_<StreamCore>(m, "Stream")
        .def(nb::init<const std::vector<LayerSpec>&, bool, const std::string&, std::int64_t, std::int64_t, int, bool, nb::object,
                      nb::object, nb::object, nb::object, nb::object>(),
             nb::keep_alive<1, 2>())
        .def("push", &StreamCore::push)
        .def("run", &StreamCore::run)
        .def("read_state", &StreamCore::read_state)
        .def("write_state", &StreamCore::write_state);
    nb::class_<Unchanged>(m, "Unchanged")
        .def(nb::init<std::vector<Unchanged::Size>, std::vector<Unchanged::Attribute>, std::vector<Unchanged::Contents>,
                      std::vector<Unchanged::Hooks>, std::vector<Unchanged::Typed>>())
        .def("holds", &Unchanged::holds);
    m.def("saved_elements",
          [](const std::vector<int>& widths, std::int64_t time, std::int64_t batch, Pointer lengths, int slices) {
              return saved_elements(widths, time, batch, pointer<const std::int64_t>(lengths), slices);
          });
    m.def("memory", [](std::size_t bytes) {
        const Block block = Memory::instance().take(bytes);
        nb::capsule owner(new Block(block), [](void* p) noexcept {
            const std::unique_ptr<Block> held(static_cast<Block*>(p));
            Memory::instance().give_back(*held);
        });
        return nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>(block.data, {bytes}, owner);
    }, "Memory not yet written, as bytes; it is used again once nothing holds it.");
}
