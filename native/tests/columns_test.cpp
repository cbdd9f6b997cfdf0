// When the members of a team have to wait for each other.
#include "../columns.hpp"
#include "check.hpp"
#include "lstm_schedule.hpp"
#include "tests.hpp"

namespace steploom::test {
namespace {

// h' = tanh(U z), where z, left by the stage before, is written again by the stage behind it.
Schedule written_again(bool by_the_same_step) {
    Schedule s;
    enum { h, z, a };
    s.buffers = {{Kind::State, 64, 0, -1}, {Kind::Step, 64, -1, -1}, {Kind::Step, 64, -1, -1}};
    const auto make_z = elementwise(64, {op(Opcode::tanh, buffer(z), buffer(h))});
    const auto product_of_z = product(64, buffer(a), {}, buffer(z), 0, 64);
    const auto make_h = elementwise(64, {op(Opcode::tanh, state_out(h), buffer(a))});
    if (by_the_same_step) s.step = {product_of_z, make_h, make_z};
    else s.step = {make_z, make_h, product_of_z};
    return s;
}

std::vector<char> waits(const Schedule& s) { return keep_columns(s, 16, 2).waits; }
std::vector<char> begins(const Schedule& s) { return keep_columns(s, 16, 2).begins; }

}  // namespace

void test_columns() {
    // What follows the product is made of columns of its own; the next product reads the state of all.
    const Columns forward = keep_columns(lstm_forward(8, 64, true, true), 16, 2);
    check(forward.width == 64 && forward.waits == std::vector<char>{0, 1}, "a team waits once a step of an LSTM");
    check(waits(lstm_forward(8, 64, false, true)) == std::vector<char>{0, 1}, "and so it does where nothing is saved");
    check(waits(lstm_backward(8, 64)) == std::vector<char>{1, 0}, "and on the way back");
    check(forward.begins == std::vector<char>{1, 0}, "a member begins with its own columns of the state, and with the input");
    check(begins(lstm_forward(8, 64, true, false)) == std::vector<char>{1, 0}, "and where the input's product is made before");
    check(begins(lstm_backward(8, 64)) == std::vector<char>{0, 1}, "and with its own columns of the gates' gradients");
    check(keep_columns(lstm_forward(8, 96, true, true), 16, 4).width == 0, "nobody gets twice the work of another");
    check(keep_columns(lstm_forward(8, 128, true, true), 16, 16).width == 0, "nobody is left without work");
    check(keep_columns(lstm_forward(8, 40, true, true), 16, 2).width == 0, "columns are dealt out by whole panels");
    check(waits(written_again(true)) == std::vector<char>{1, 0, 1}, "nobody overtakes who still reads, within a step");
    check(waits(written_again(false)) == std::vector<char>{0, 1, 1}, "nor from one step to the next");
    check(begins(written_again(false)) == std::vector<char>{0, 0, 1}, "any product that waits");
    Schedule second = written_again(false);
    second.step.insert(second.step.begin() + 1, product(64, buffer(1), {}, buffer(2), 0, 64));
    check(begins(second) == std::vector<char>{0, 0, 0, 0}, "nobody writes early what another product may still read");
    for (const int shares : {7, 8}) {
        Schedule wide = written_again(false);
        wide.buffers[1].width = shares * 64, wide.step[2].inners[0] = shares * 64;
        check(begins(wide).back() == (shares == 7), "a sum is cut into no more pieces than kernels take");
    }
    Schedule shifted = lstm_backward(8, 64);
    shifted.step[1].terms[0].left.column = 16;
    check(begins(shifted) == std::vector<char>{0, 0}, "nor into shares that are not a member's own");
    Schedule alone = lstm_forward(8, 64, true, true);
    alone.step[0].terms.pop_back(), alone.step[0].inners.pop_back();
    check(begins(alone) == std::vector<char>{0, 0}, "what waits for nobody is not begun early");
    Schedule uneven = lstm_forward(8, 64, true, true);
    uneven.step[0].inners[1] = 48;
    check(begins(uneven) == std::vector<char>{0, 0}, "nor begins with columns that are no whole shares");
    Schedule mixed = lstm_forward(8, 64, true, true);
    mixed.step[1].ops[0].in[0].column = 16;
    check(keep_columns(mixed, 16, 2).width == 0, "who reads other columns waits");
}

}  // namespace steploom::test
