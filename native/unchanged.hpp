// Whether objects of Python still hold what they held: many of them, in little time.
//
// It is asked before every run of a layer, mostly while the caches are full of numbers. In Python it would touch several
// hundred places in memory; here it is a walk over one array.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

namespace steploom {

namespace nb = nanobind;

// Borrows all it is given: `steploom.engine.watch` holds it.
class Unchanged {
  public:
    using Size = std::pair<nb::handle, Py_ssize_t>;                    // a dictionary, its number of entries
    using Attribute = std::tuple<nb::handle, nb::handle, nb::handle>;  // a dictionary, a key, its value
    using Contents = std::pair<nb::handle, std::vector<nb::handle>>;   // of a list, a set or a dictionary
    using Hooks = std::pair<nb::handle, nb::handle>;                   // a dictionary, a key
    using Typed = std::pair<nb::handle, nb::handle>;                   // an object, its type

    // contents: the elements; of a dictionary a key and its value in turn. hooks: what must be empty or None.
    Unchanged(std::vector<Size> sizes, std::vector<Attribute> attributes, std::vector<Contents> contents, std::vector<Hooks> hooks,
              std::vector<Typed> types)
        : sizes_(std::move(sizes)), attributes_(std::move(attributes)), contents_(std::move(contents)), hooks_(std::move(hooks)),
          types_(std::move(types)) {}

    bool holds() const {
        const bool same = std::all_of(sizes_.begin(), sizes_.end(), [](const Size& s) { return PyDict_Size(s.first.ptr()) == s.second; }) &&
                          std::all_of(attributes_.begin(), attributes_.end(), has) &&
                          std::all_of(contents_.begin(), contents_.end(), contains) &&
                          std::all_of(hooks_.begin(), hooks_.end(), empty) &&
                          std::all_of(types_.begin(), types_.end(), [](const Typed& t) { return t.first.type().is(t.second); });
        if (!PyErr_Occurred()) return same;
        PyErr_Clear();  // whatever cannot be asked has changed
        return false;
    }

  private:
    std::vector<Size> sizes_;
    std::vector<Attribute> attributes_;
    std::vector<Contents> contents_;
    std::vector<Hooks> hooks_;
    std::vector<Typed> types_;

    static bool has(const Attribute& a) {
        const auto& [dictionary, key, value] = a;
        return PyDict_GetItemWithError(dictionary.ptr(), key.ptr()) == value.ptr();
    }

    static bool empty(const Hooks& h) {
        PyObject* const found = PyDict_GetItemWithError(h.first.ptr(), h.second.ptr());
        return found && PyObject_IsTrue(found) == 0;
    }

    static bool contains(const Contents& c) {
        PyObject* const holder = c.first.ptr();
        const std::vector<nb::handle>& expected = c.second;
        const std::size_t size = expected.size();
        if (PyDict_CheckExact(holder)) {
            if (static_cast<std::size_t>(PyDict_Size(holder)) * 2 != size) return false;
            Py_ssize_t place = 0;
            PyObject *key = nullptr, *value = nullptr;
            for (std::size_t i = 0; i < size; i += 2)
                if (!PyDict_Next(holder, &place, &key, &value) || key != expected[i].ptr() || value != expected[i + 1].ptr())
                    return false;
            return true;
        }
        if (PyList_CheckExact(holder)) {
            if (static_cast<std::size_t>(PyList_Size(holder)) != size) return false;
            for (std::size_t i = 0; i < size; ++i)
                if (PyList_GET_ITEM(holder, static_cast<Py_ssize_t>(i)) != expected[i].ptr()) return false;
            return true;
        }
        // Sets, and classes that may have an order of their own, such as OrderedDict.
        const bool is_dictionary = PyDict_Check(holder);
        const nb::object items = is_dictionary ? nb::steal(PyMapping_Items(holder)) : nb::borrow(holder);
        const nb::object iterator = nb::steal(items.is_valid() ? PyObject_GetIter(items.ptr()) : nullptr);
        if (!iterator.is_valid()) return false;
        std::size_t i = 0;
        while (const nb::object item = nb::steal(PyIter_Next(iterator.ptr()))) {
            if (is_dictionary) {
                if (i == size || PyTuple_GetItem(item.ptr(), 0) != expected[i++].ptr()) return false;
                if (PyTuple_GetItem(item.ptr(), 1) != expected[i++].ptr()) return false;
            } else if (i == size || item.ptr() != expected[i++].ptr()) {
                return false;
            }
        }
        return i == size;
    }
};

inline void bind_unchanged(nb::module_& m) {
    nb::class_<Unchanged>(m, "Unchanged")
        .def(nb::init<std::vector<Unchanged::Size>, std::vector<Unchanged::Attribute>, std::vector<Unchanged::Contents>,
                      std::vector<Unchanged::Hooks>, std::vector<Unchanged::Typed>>())
        .def("holds", &Unchanged::holds);
}

}  // namespace steploom
