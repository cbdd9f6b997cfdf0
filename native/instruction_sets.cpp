#include "instruction_sets.hpp"

#include <cstdint>

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
#define STEPLOOM_X86 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace steploom {

#if defined(STEPLOOM_X86)

namespace {

struct Registers {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
    Registers r;
#if defined(_MSC_VER)
    int words[4];
    __cpuid(words, 0);
    if (leaf > static_cast<std::uint32_t>(words[0])) return r;
    __cpuidex(words, static_cast<int>(leaf), static_cast<int>(subleaf));
    r.eax = words[0];
    r.ebx = words[1];
    r.ecx = words[2];
    r.edx = words[3];
#else
    __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
    return r;
}

// Which register files the operating system saves at a task switch (extended control register 0).
std::uint64_t saved_registers() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    std::uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

bool bit(std::uint32_t word, int position) { return ((word >> position) & 1u) != 0; }

}  // namespace

std::vector<std::string> instruction_sets() {
    std::vector<std::string> found;
    const Registers basic = cpuid(1, 0), extended = cpuid(7, 0), further = cpuid(7, 1);
    if (bit(basic.ecx, 20)) found.push_back("sse4_2");

    // The wide registers may only be used where the operating system saves them: xgetbv itself needs bit 27.
    const std::uint64_t saved = bit(basic.ecx, 27) ? saved_registers() : 0;
    const bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;
    if (ymm && bit(basic.ecx, 28)) {
        found.push_back("avx");
        if (bit(basic.ecx, 29)) found.push_back("f16c");
        if (bit(basic.ecx, 12)) found.push_back("fma");
        if (bit(extended.ebx, 5)) found.push_back("avx2");
    }
    if (zmm && bit(extended.ebx, 16)) {
        found.push_back("avx512f");
        if (bit(extended.ebx, 17)) found.push_back("avx512dq");
        if (bit(extended.ebx, 30)) found.push_back("avx512bw");
        if (bit(extended.ebx, 31)) found.push_back("avx512vl");
        if (bit(extended.ecx, 11)) found.push_back("avx512_vnni");
        if (bit(further.eax, 5)) found.push_back("avx512_bf16");
        if (bit(extended.edx, 23)) found.push_back("avx512_fp16");
    }
    return found;
}

#elif defined(__aarch64__) || defined(_M_ARM64)

std::vector<std::string> instruction_sets() {
    std::vector<std::string> found{"asimd"};  // part of every 64-bit ARM processor
#if defined(__linux__)
    const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    if ((first >> 20) & 1ul) found.push_back("asimddp");
    if ((first >> 22) & 1ul) found.push_back("sve");
    if ((second >> 1) & 1ul) found.push_back("sve2");
    if ((second >> 14) & 1ul) found.push_back("bf16");
#endif
    return found;
}

#else

std::vector<std::string> instruction_sets() { return {}; }

#endif

}  // namespace steploom
