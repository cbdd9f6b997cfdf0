// The kernels as built for portable; CMakeLists.txt gives the flags.
#define STEPLOOM_ISA portable
#include "run.hpp"

namespace steploom {
extern const Kernels kernels_portable;
const Kernels kernels_portable{"portable", &portable::run<float>, &portable::run<double>};
}  // namespace steploom
