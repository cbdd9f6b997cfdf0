// Threads that wait for each other within a step, and what a thread changes about its arithmetic while it runs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace steploom {

// A step of a small network takes about as long as a sleeping thread needs to wake, so the threads spin; one that has
// waited long gives its processor away, since the others may need it.
//
// Each member counts its rounds where the others only read: to count in one place, it would have to wait for that line of the
// cache.
class Barrier {
  public:
    explicit Barrier(int members) : members_(members), counts_(new Count[static_cast<std::size_t>(members)]) {}
    void wait(int member) {
        if (members_ > 1) wait_for(arrive(member));
    }
    // The two halves of `wait`: a member that has arrived may do what needs nobody else before it waits for the round.
    unsigned arrive(int member) {
        std::atomic<unsigned>& own = counts_[static_cast<std::size_t>(member)].rounds;
        const unsigned round = own.load(std::memory_order_relaxed) + 1;
        own.store(round, std::memory_order_release);
        return round;
    }
    void wait_for(unsigned round) const {
        int spins = 0;
        for (int i = 0; i < members_; ++i)
            while (static_cast<int>(counts_[static_cast<std::size_t>(i)].rounds.load(std::memory_order_acquire) - round) < 0) {
                if (++spins > 4000) std::this_thread::yield();
#if defined(__SSE2__)
                else if (spins > 64) _mm_pause();  // longer than most waits: not before somebody is late
#endif
            }
    }

  private:
    struct alignas(64) Count {
        std::atomic<unsigned> rounds{0};
    };
    const int members_;
    const std::unique_ptr<Count[]> counts_;
};

// Runs work(0) ... work(count - 1) at the same time, on PyTorch's OpenMP threads: a second pool would fight with them
// for the processors. Where OpenMP grants fewer threads, ordinary ones run, since they wait for each other.
inline void on_threads(int count, const std::function<void(int)>& work) {
    if (count == 1) return work(0);
#if defined(_OPENMP)
    int granted = 0;
#pragma omp parallel num_threads(count)
    {
#pragma omp single
        granted = omp_get_num_threads();
        if (granted == count) work(omp_get_thread_num());
    }
    if (granted == count) return;
#endif
    // None begins before all are there: they wait for each other, and one that cannot start would be waited for for ever.
    std::atomic<int> gate{0};
    std::vector<std::thread> others;
    const auto join = [&] {
        for (std::thread& other : others) other.join();
    };
    try {
        others.reserve(static_cast<std::size_t>(count) - 1);
        for (int i = 1; i < count; ++i)
            others.emplace_back([&work, &gate, i] {
                while (gate.load(std::memory_order_acquire) == 0) std::this_thread::yield();
                if (gate.load(std::memory_order_acquire) > 0) work(i);
            });
    } catch (...) {
        gate.store(-1, std::memory_order_release);
        join();
        throw;
    }
    gate.store(1, std::memory_order_release);
    work(0);
    join();
}

// Denormal numbers are taken as 0 while this lives: they make some processors twenty times slower.
class FlushDenormals {
  public:
#if defined(__SSE2__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#else
    FlushDenormals() {}
#endif
};

}  // namespace steploom
