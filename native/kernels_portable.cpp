// The kernels as built for portable; CMakeLists.txt gives the flags.
#define STEPLOOM_ISA portable
#include "stream.hpp"

namespace steploom {
extern const Kernels kernels_portable;
const Kernels kernels_portable{"portable", &portable::run<float>, &portable::run<double>, &portable::make_stream<float>,
                             &portable::make_stream<double>};
}  // namespace steploom
