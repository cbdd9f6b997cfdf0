// One piece of memory for a call's workspace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace steploom {

// Asks for large pages: a fresh buffer of 100 MB costs 25,000 page faults without them. Only whole large pages inside
// the range are meant; elsewhere, and where the system declines, nothing happens.
inline void prefer_large_pages(void* data, std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr std::uintptr_t page = std::uintptr_t{1} << 21;
    const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(data) + page - 1) & ~(page - 1);
    const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(data) + bytes) & ~(page - 1);
    if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes;
#endif
}

class Workspace {
  public:
    explicit Workspace(std::size_t bytes) : data_(static_cast<char*>(std::aligned_alloc(64, (bytes + 127) & ~std::size_t{63}))) {
        if (!data_) throw std::bad_alloc();
        prefer_large_pages(data_, bytes);
    }
    ~Workspace() { std::free(data_); }
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    template <class T> T* at(std::size_t element) const { return reinterpret_cast<T*>(data_) + element; }

  private:
    char* data_;
};

}  // namespace steploom
