// The loop over chunks and steps.
#pragma once

#include "gradients.hpp"
#include "layout.hpp"
#include "places.hpp"
#include "stages.hpp"

namespace steploom::STEPLOOM_ISA {

template <class T> void Run<T>::chunk(Member<T>& m, Index first, Index last) const {
    const Slice& part = *m.slice->part;
    const Index rows = part.offset[last] - part.offset[first];
    gather(m, first, last);
    team_barrier->wait(m.place);
    if (!s.before.empty() && rows) {
        place_chunk(m, first);
        stages(m, s.before, m.before, rows);
    }
    for (Index i = first; i < last; ++i) {
        const Index t = s.descending ? first + last - 1 - i : i;
        if (!part.active[t]) continue;
        place(m, t, first);
        enter(m, t);
        look_ahead(m, t, first, last);
        stages(m, s.step, m.step, part.active[t], m.ahead.empty() ? nullptr : &m.ahead);
        sum_step(m, part.active[t]);
        leave(m, t);
    }
    if (columns.open_end() || m.arrived) meet(m);
    if (!s.after.empty() && rows) {
        place_chunk(m, first);
        stages(m, s.after, m.after, rows);
    }
    scatter(m, first, last);
}

template <class T> bool Run<T>::operator()() {
    layout();
    // Sequences of no step hand their state through.
    for (const BufferSpec& spec : s.buffers) {
        if (spec.kind != Kind::State) continue;
        const T* from = static_cast<const T*>(c.state_in[spec.external]);
        T* to = static_cast<T*>(c.state_out[spec.external]);
        for (const Slice& part : parts)
            for (std::size_t r = 0; r < part.rows.size() && to; ++r)
                if (part.lengths[r] == 0) {
                    if (from) copy_row(to + part.rows[r] * spec.width, from + part.rows[r] * spec.width, spec.width);
                    else std::fill(to + part.rows[r] * spec.width, to + (part.rows[r] + 1) * spec.width, T(0));
                }
    }
    const bool has_gradients = !s.weight_gradients.empty() || !s.vector_gradients.empty();
    const Index chunks = (c.time + chunk_steps - 1) / chunk_steps;
    // So many chunks are run before it is asked whether the user wants to stop: some ten milliseconds of work.
    double work_of_row = 1;
    for (const auto* list : {&s.before, &s.step, &s.after})
        for (const Stage& stage : *list)
            for (const int inner : stage.inners) work_of_row += 2.0 * stage.width * inner;
    for (const WeightGradient& g : s.weight_gradients) work_of_row += 2.0 * g.n * g.k;
    const double chunk_work = work_of_row * static_cast<double>(chunk_steps * c.batch);
    const Index together = static_cast<Index>(std::clamp(2e9 / chunk_work, 1.0, 16.0));
    for (Index begin = 0; begin < chunks; begin += together) {
        const Index end = std::min(chunks, begin + together);
        const auto work = [&](int thread) {
            FlushDenormals flush;
            Member<T>& m = members[thread];
            if (begin == 0) {
                if (packs) pack_share(thread, threads);
                clear_sums_of_steps(thread);
                all_barrier->wait(thread);
            }
            for (Index i = begin; i < end; ++i) {
                const Index k = s.descending ? chunks - 1 - i : i;
                const Index first = k * chunk_steps, last = std::min(c.time, first + chunk_steps);
                chunk(m, first, last);
                if (!has_gradients) continue;
                if (!own_sums) all_barrier->wait(thread);
                gradients(thread, first, last, i == 0);
                if (!own_sums) all_barrier->wait(thread);
            }
            if (own_sums && end == chunks) {
                all_barrier->wait(thread);
                join_sums(thread);
            }
        };
        on_threads(threads, work);
        if (begin == 0 && packs && c.kept_weights) c.kept_weights->keep(s, layout_of_weights(), std::move(packed_space));
        if (end < chunks && c.interrupted && c.interrupted()) return false;
    }
    return true;
}

template <class T, Digits digits = Digits::None> bool run(const Schedule& schedule, const Call& call) {
    return Run<T>(schedule, call, digits)();
}

}  // namespace steploom::STEPLOOM_ISA
