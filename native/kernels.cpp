// Which build of the kernels this processor can run.
#include <stdexcept>

#if defined(STEPLOOM_X86_KERNELS)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "digits.hpp"
#include "partition.hpp"
#include "schedule.hpp"

namespace steploom {

#if defined(STEPLOOM_X86_KERNELS)
extern const Kernels kernels_mixed, kernels_amx, kernels_avx512, kernels_avx2;
#endif
extern const Kernels kernels_portable;

namespace {

std::vector<const Kernels*> usable() {
    std::vector<const Kernels*> list;
#if defined(STEPLOOM_X86_KERNELS)
    // The compiler's functions also ask whether the operating system saves the wide registers at a task switch.
    const bool fma = __builtin_cpu_supports("fma");
    if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        if (have_tiles()) list.push_back(&kernels_amx);
        list.push_back(&kernels_avx512);
    }
    if (fma && __builtin_cpu_supports("avx2")) list.push_back(&kernels_avx2);
#endif
    list.push_back(&kernels_portable);
    return list;
}

}  // namespace

bool have_tiles() {
#if defined(STEPLOOM_X86_KERNELS) && defined(__linux__)
    static const bool have = [] {
        unsigned a, b, c, d;
        constexpr unsigned tiles = (1u << 24) | (1u << 25);  // AMX-TILE and AMX-INT8
        if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles) != tiles) return false;
        constexpr int request_permission = 0x1023, tile_data = 18;  // of arch_prctl
        return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    }();
    return have;
#else
    return false;
#endif
}

const Kernels& kernels_named(const std::string& name) {
    static const std::vector<const Kernels*> list = usable();
#if defined(STEPLOOM_X86_KERNELS)
    if (name.empty() && list.front() == &kernels_amx) return kernels_mixed;
#endif
    if (name.empty()) return *list.front();
    std::string names;
    for (const Kernels* k : list) {
        if (name == k->name) return *k;
        names += (names.empty() ? "" : ", ") + std::string(k->name);
    }
    throw std::invalid_argument("this processor has no kernels '" + name + "'; it has " + names);
}

std::vector<std::string> kernel_names() {
    std::vector<std::string> names;
    for (const Kernels* k : usable()) names.push_back(k->name);
    return names;
}

std::int64_t saved_elements(const std::vector<int>& widths, std::int64_t time, std::int64_t batch,
                            const std::int64_t* lengths, int slices) {
    std::int64_t rows = 0, total = 0;
    if (!lengths) rows = (time + 1) * batch;
    else
        for (const Slice& part : partition(time, batch, lengths, slices)) rows += part.saved_rows();
    for (int width : widths) total += rows * row_stride(width);
    return total;
}

}  // namespace steploom
