#pragma once

namespace steploom::test {

void test_lstm();
void test_callers();
void test_calls_that_add();
void test_interruption();
void test_instructions();
void test_groups();
void test_matrices();
void test_along();
void test_barrier();
void test_columns();
void test_digits();
void test_gradients();

}  // namespace steploom::test
