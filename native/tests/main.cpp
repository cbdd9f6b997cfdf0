// Tests of the core without Python, made to run under sanitizers: CONTRIBUTING.md says how.
#include <cstring>

#include "check.hpp"
#include "tests.hpp"

using namespace steploom::test;

int main(int count, char** names) {
    const struct {
        const char* name;
        void (*run)();
    } tests[] = {{"barrier", test_barrier},   {"columns", test_columns},           {"digits", test_digits}, {"instructions", test_instructions},
                 {"groups", test_groups},     {"matrices", test_matrices}, {"along", test_along},         {"interruption", test_interruption},
                 {"callers", test_callers},   {"adding", test_calls_that_add},     {"gradients", test_gradients}, {"lstm", test_lstm}};
    for (const auto& test : tests) {
        bool wanted = count == 1;
        for (int i = 1; i < count; ++i) wanted |= std::strcmp(names[i], test.name) == 0;
        if (!wanted) continue;
        const int before = failures;
        test.run();
        std::printf("%-13s %s\n", test.name, failures == before ? "passed" : "FAILED");
        std::fflush(stdout);
    }
    std::printf("%d comparisons, %d failures\n", comparisons.load(), failures.load());
    return failures == 0 && comparisons > 0 ? 0 : 1;
}
