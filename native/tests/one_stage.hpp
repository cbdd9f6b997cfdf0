// Runs one stage by itself.
#pragma once

#include <vector>

#include "../schedule.hpp"

namespace steploom::test {

// What one stage makes of each row of `x`. Sequences: 0 is read, 1 is written.
template <class T> std::vector<T> run_stage(const Kernels& k, const Stage& stage, const std::vector<T>& x, int batch, int team) {
    const int width = static_cast<int>(x.size()) / batch;
    Schedule s;
    s.buffers = {{Kind::Input, width, 0, -1}, {Kind::Output, stage.width, 1, -1}};
    s.step = {stage};
    std::vector<T> y(static_cast<std::size_t>(batch) * stage.width);
    Call call;
    call.time = 1, call.batch = batch, call.team = team;
    call.sequences = {{const_cast<T*>(x.data()), batch * width, width}, {y.data(), batch * stage.width, stage.width}};
    if (sizeof(T) == 4) k.run_f32(s, call);
    else k.run_f64(s, call);
    return y;
}

}  // namespace steploom::test
