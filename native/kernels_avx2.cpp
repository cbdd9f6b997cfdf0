// The kernels as built for avx2; CMakeLists.txt gives the flags.
#define STEPLOOM_ISA avx2
#include "run.hpp"

namespace steploom {
extern const Kernels kernels_avx2;
const Kernels kernels_avx2{"avx2", &avx2::run<float>, &avx2::run<double>};
}  // namespace steploom
