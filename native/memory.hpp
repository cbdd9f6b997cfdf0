// Memory for a call's workspace and for what it keeps for its backward pass, used again by the calls after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

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

struct Block {
    void* data = nullptr;
    std::size_t bytes = 0;
};

// Blocks that are free again. Fresh memory must be cleared page by page by the system, which takes up to a third of the
// time of a training step; these blocks need not be. Of what is free beyond some 64 MB the system may take the pages back
// as soon as anybody needs memory: to say so for every block would stop all threads for as long as a short step of training
// takes. A block is in the hands of one call at a time.
class Memory {
  public:
    static Memory& instance() {
        static Memory* memory = new Memory();  // never destroyed: tensors may die after everything else
        return *memory;
    }

    Block take(std::size_t bytes) {
        bytes = (bytes + 63) / 64 * 64 + 64;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            ++now_;
            std::size_t best = free_.size();
            for (std::size_t i = 0; i < free_.size(); ++i)
                if (free_[i].block.bytes >= bytes && free_[i].block.bytes <= 2 * bytes &&
                    (best == free_.size() || free_[i].block.bytes < free_[best].block.bytes))
                    best = i;
            if (best < free_.size()) {
                const Block found = free_[best].block;
                total_ -= found.bytes;
                free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(best));
                return found;
            }
            for (std::size_t i = free_.size(); i-- > 0;)
                if (now_ - free_[i].since > unused_for) drop(i);
        }
        void* data = std::aligned_alloc(64, bytes);
        if (!data) throw std::bad_alloc();
        if (bytes >= large) prefer_large_pages(data, bytes);
        return {data, bytes};
    }

    void give_back(Block block) {
        const std::lock_guard<std::mutex> lock(mutex_);
        free_.push_back({block, now_});
        total_ += block.bytes;
        std::size_t warm = 0;
        for (std::size_t i = free_.size(); i-- > 0;) {
            if (free_[i].released) continue;
            warm += free_[i].block.bytes;
            if (warm > most_warm) release_pages(free_[i]);
        }
        while (free_.size() > most_blocks || (total_ > most_bytes && free_.size() > 1)) drop(0);
    }

  private:
    struct Free {
        Block block;
        std::uint64_t since;
        bool released = false;
    };
    static constexpr std::size_t large = std::size_t{4} << 20, most_blocks = 32, most_warm = std::size_t{64} << 20;
#if defined(__linux__) && defined(MADV_FREE)
    static constexpr std::size_t most_bytes = std::size_t{2} << 30;
#else
    static constexpr std::size_t most_bytes = std::size_t{64} << 20;
#endif
    static constexpr std::uint64_t unused_for = 64;

    static void release_pages(Free& free) {
        free.released = true;
        const Block block = free.block;
#if defined(__linux__) && defined(MADV_FREE)
        constexpr std::uintptr_t page = 4096;
        const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(block.data) + page - 1) & ~(page - 1);
        const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(block.data) + block.bytes) & ~(page - 1);
        if (block.bytes >= large) madvise(reinterpret_cast<void*>(first), last - first, MADV_FREE);
#else
        (void)block;
#endif
    }
    void drop(std::size_t i) {
        total_ -= free_[i].block.bytes;
        std::free(free_[i].block.data);
        free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
    }

    std::mutex mutex_;
    std::vector<Free> free_;
    std::size_t total_ = 0;
    std::uint64_t now_ = 0;
};

class Workspace {
  public:
    explicit Workspace(std::size_t bytes) : block_(Memory::instance().take(bytes)) {}
    ~Workspace() { Memory::instance().give_back(block_); }
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    template <class T> T* at(std::size_t element) const { return static_cast<T*>(block_.data) + element; }

  private:
    Block block_;
};

}  // namespace steploom
