// Which build of the kernels this processor can run.
#include <algorithm>
#include <stdexcept>

#include "instruction_sets.hpp"
#include "partition.hpp"
#include "schedule.hpp"

namespace steploom {

#if defined(STEPLOOM_X86_KERNELS)
extern const Kernels kernels_avx512, kernels_avx2;
#endif
extern const Kernels kernels_portable;

namespace {

bool has(const std::vector<std::string>& found, std::initializer_list<const char*> needed) {
    return std::all_of(needed.begin(), needed.end(),
                       [&](const char* name) { return std::find(found.begin(), found.end(), name) != found.end(); });
}

std::vector<const Kernels*> usable() {
    std::vector<const Kernels*> list;
#if defined(STEPLOOM_X86_KERNELS)
    const std::vector<std::string> found = instruction_sets();
    if (has(found, {"avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"})) list.push_back(&kernels_avx512);
    if (has(found, {"avx2", "fma"})) list.push_back(&kernels_avx2);
#endif
    list.push_back(&kernels_portable);
    return list;
}

}  // namespace

const Kernels& kernels_named(const std::string& name) {
    static const std::vector<const Kernels*> list = usable();
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
