// The only file that knows Python. It binds and does nothing else.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "instruction_sets.hpp"

namespace nb = nanobind;

NB_MODULE(_native, m) {
    m.doc() = "The compiled core of Steploom.";
    m.def("version", [] { return std::string(STEPLOOM_VERSION); }, "The version of the package that this core was built with.");
    m.def("instruction_sets", &steploom::instruction_sets,
          "The vector instruction sets that this processor and its operating system support, oldest first.");
}
