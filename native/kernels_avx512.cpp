// The kernels as built for avx512; CMakeLists.txt gives the flags.
#define STEPLOOM_ISA avx512
#include "stream.hpp"

namespace steploom {
extern const Kernels kernels_avx512;
const Kernels kernels_avx512{"avx512", &avx512::run<float>, &avx512::run<double>, &avx512::make_stream<float>,
                             &avx512::make_stream<double>};
}  // namespace steploom
