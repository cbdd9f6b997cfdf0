// The kernels as built for avx2; CMakeLists.txt gives the flags.
#define STEPLOOM_ISA avx2
#include "stream.hpp"

namespace steploom {
extern const Kernels kernels_avx2;
const Kernels kernels_avx2{"avx2", &avx2::run<float>, &avx2::run<double>, &avx2::make_stream<float>,
                             &avx2::make_stream<double>};
}  // namespace steploom
