// The kernels as built for avx512, without tiles, with them for all products, and for those that gain by it; CMakeLists.txt
// gives the flags.
#define STEPLOOM_ISA avx512
#include "stream.hpp"

namespace steploom {
namespace {

template <avx512::Digits digits>
constexpr Kernels of(const char* name) {
    return {name, &avx512::run<float, digits>, &avx512::run<double>, &avx512::make_stream<float, digits>, &avx512::make_stream<double>};
}

}  // namespace

extern const Kernels kernels_avx512, kernels_amx, kernels_mixed;
const Kernels kernels_avx512 = of<avx512::Digits::None>("avx512"), kernels_amx = of<avx512::Digits::All>("amx"),
              kernels_mixed = of<avx512::Digits::Large>("amx");
}  // namespace steploom
