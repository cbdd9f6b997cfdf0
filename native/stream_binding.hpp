// A stream as Python holds it.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <memory>
#include <stdexcept>

#include "pointers.hpp"
#include "schedule.hpp"

namespace steploom {

namespace nb = nanobind;

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
        const Kernels& k = kernels_named(isa);
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

inline void bind_stream(nb::module_& m) {
    nb::class_<StreamCore>(m, "Stream")
        .def(nb::init<const std::vector<LayerSpec>&, bool, const std::string&, std::int64_t, std::int64_t, int, bool, nb::object,
                      nb::object, nb::object, nb::object, nb::object>(),
             nb::keep_alive<1, 2>())
        .def("push", &StreamCore::push, nb::arg("x").none())
        .def("run", &StreamCore::run)
        .def("read_state", &StreamCore::read_state)
        .def("write_state", &StreamCore::write_state);
}

}  // namespace steploom
