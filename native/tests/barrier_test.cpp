// The barrier and the threads: what one writes before it, all read after it.
#include <atomic>
#include <thread>

#include "../team.hpp"
#include "check.hpp"
#include "tests.hpp"

namespace steploom::test {

void test_barrier() {
    for (int members : {1, 2, 3}) {
        Barrier barrier(members);
        std::vector<int> written(members, 0);  // plain integers: ThreadSanitizer watches them
        std::vector<int> wrong(members, 0), met(members, 0);
        std::atomic<int> went_on{0};
        on_threads(members, [&](int thread) {
            ++met[thread];
            for (int round = 1; round <= 300; ++round) {
                written[thread] = round;
                barrier.wait(thread);
                for (int other : written) wrong[thread] += other != round;
                // The others arrive only once the first has gone on, as it may.
                while (thread && went_on.load() < round) std::this_thread::yield();
                const unsigned arrived = barrier.arrive(thread);
                if (!thread) went_on.store(round);
                barrier.wait_for(arrived);
            }
        });
        for (int thread = 0; thread < members; ++thread) {
            check(met[thread] == 1, "each thread has one piece of work");
            check(wrong[thread] == 0, "a barrier holds back whoever comes early");
        }
    }
}

}  // namespace steploom::test
