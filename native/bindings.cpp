// The module, and one call of a plan. It binds, and does nothing else: what it is given was checked by steploom/engine.
// This file, those whose names end in _binding and unchanged.hpp alone know Python.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>

#include "memory.hpp"
#include "pointers.hpp"
#include "schedule.hpp"
#include "schedule_binding.hpp"
#include "stream_binding.hpp"
#include "unchanged.hpp"

namespace nb = nanobind;
using namespace steploom;

namespace {

// Signals are handled in Python's main thread alone; elsewhere this finds nothing.
bool interrupted() {
    nb::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

// leaves: where the tensors begin that hold the weights; gradients: of each of them, 0 where none is wanted, or no list.
void run(const Schedule& schedule, bool is_double, const std::string& isa, std::int64_t time, std::int64_t batch,
         Pointer lengths, bool reversed, Pointer resets,
         const std::vector<std::tuple<Pointer, std::int64_t, std::int64_t>>& sequences,
         const std::vector<Pointer>& state_in, const std::vector<Pointer>& state_out,
         const std::vector<Pointer>& state_reset, const std::vector<Pointer>& leaves,
         const std::vector<Pointer>& gradients, Pointer saved, int slices, int team, bool adds,
         std::optional<KeptWeights*> kept_weights) {
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
    call.adds = adds;
    call.kept_weights = kept_weights.value_or(nullptr);
    call.interrupted = &interrupted;
    const Kernels& k = kernels_named(isa);
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
    m.def("kernels", &kernel_names, "The builds of the kernels that this processor can run, the fastest first.");
    m.def("opcodes", [] { return std::vector<std::string>(std::begin(opcode_names), std::end(opcode_names)); },
          "The names of the elementwise instructions.");
    m.def("most_terms", [] { return most_terms; }, "How many products one stage adds up at the most.");
    bind_schedule(m);
    bind_stream(m);
    bind_unchanged(m);
    nb::class_<KeptWeights>(m, "KeptWeights").def(nb::init<>());
    m.def("run", &run);
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
