// Where the buffers are at a step; what enters and leaves them at the edges of chunks and sequences.
#pragma once

#include "call.hpp"

namespace steploom::STEPLOOM_ISA {

// Points `now` and `out` at step t of the chunk that begins at step `first`.
template <class T> void Run<T>::place(Member<T>& m, Index t, Index first) const {
    const SliceState<T>& slice = *m.slice;
    const Slice& part = *slice.part;
    const Index rows = static_cast<Index>(part.rows.size());
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
        const BufferSpec& spec = s.buffers[b];
        T* base = slice.base[b];
        switch (spec.kind) {
            case Kind::Input:
            case Kind::Output:
                if (slice.direct[b]) {
                    m.now[b] = base + (c.reversed ? c.time - 1 - t : t) * c.sequences[spec.external].time_stride;
                    break;
                }
                [[fallthrough]];
            case Kind::Chunk: m.now[b] = base + (part.offset[t] - part.offset[first]) * slice.row[b]; break;
            case Kind::Saved: m.now[b] = base + part.offset[t] * slice.row[b]; break;
            case Kind::Step: m.now[b] = base; break;
            case Kind::State: {
                const Index in = s.descending ? t + 1 : t, out = s.descending ? t : t + 1;
                m.now[b] = base + (spec.saved < 0 ? (in & 1) * rows : part.offset[in]) * slice.row[b];
                m.out[b] = base + (spec.saved < 0 ? (out & 1) * rows : part.offset[out]) * slice.row[b];
                break;
            }
        }
    }
}

template <class T> void Run<T>::place_chunk(Member<T>& m, Index first) const {
    const SliceState<T>& slice = *m.slice;
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
        T* base = slice.base[b];
        if (s.buffers[b].kind == Kind::State) m.now[b] = nullptr;  // it is there for one step alone
        else if (slice.direct[b]) m.now[b] = base + first * c.sequences[s.buffers[b].external].time_stride;
        else if (s.buffers[b].kind == Kind::Saved) m.now[b] = base + slice.part->offset[first] * slice.row[b];
        else m.now[b] = base;
    }
}

template <class T> T* Run<T>::find(const Member<T>& m, const Operand& o) const {
    switch (o.where) {
        case Where::Buffer: return m.now[o.index] + o.column;
        case Where::StateOut: return m.out[o.index] + o.column;
        case Where::Vector: return vectors[o.index] + o.column;
        default: return nullptr;
    }
}

template <class T> Index Run<T>::row_of(const Member<T>& m, const Operand& o) const {
    return is_buffer(o) ? m.slice->row[o.index] : 0;
}

template <class T> void Run<T>::gather(Member<T>& m, Index first, Index last) const {
    const Slice& part = *m.slice->part;
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
        const BufferSpec& spec = s.buffers[b];
        if (spec.kind != Kind::Input || m.slice->direct[b]) continue;
        const Sequence& from = c.sequences[spec.external];
        const Index row = m.slice->row[b];
        for (Index t = first + m.place; t < last; t += m.team) {
            T* to = m.slice->base[b] + (part.offset[t] - part.offset[first]) * row;
            for (Index r = 0; r < part.active[t]; ++r)
                copy_row(to + r * row, static_cast<const T*>(from.data) + source_time(part, r, t) * from.time_stride + part.rows[r] * from.batch_stride, spec.width);
        }
    }
}

template <class T> void Run<T>::scatter(Member<T>& m, Index first, Index last) const {
    const Slice& part = *m.slice->part;
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
        const BufferSpec& spec = s.buffers[b];
        if (spec.kind != Kind::Output || m.slice->direct[b]) continue;
        const Sequence& to = c.sequences[spec.external];
        const Index row = m.slice->row[b];
        for (Index t = first + m.place; t < last; t += m.team) {
            const T* from = m.slice->base[b] + (part.offset[t] - part.offset[first]) * row;
            for (Index r = 0; r < part.active[t]; ++r)
                copy_row(static_cast<T*>(to.data) + source_time(part, r, t) * to.time_stride + part.rows[r] * to.batch_stride, from + r * row, spec.width);
        }
    }
}

// Notes what the step after step t will touch of the long buffers, for the products of step t.
template <class T> void Run<T>::look_ahead(Member<T>& m, Index t, Index first, Index last) const {
    m.ahead.clear();
    const Index next = s.descending ? t - 1 : t + 1;
    const Slice& part = *m.slice->part;
    const bool within = next >= first && next < last;
    if (next < 0 || next >= c.time || part.active[t] < 4) return;
    const Index rows = part.active[next];
    for (std::size_t b = 0; b < s.buffers.size(); ++b) {
        const BufferSpec& spec = s.buffers[b];
        const Index row = m.slice->row[b];
        const T* from = nullptr;
        if (spec.kind == Kind::Saved) from = m.slice->base[b] + part.offset[next] * row;
        else if (spec.kind == Kind::State && spec.saved >= 0) from = m.slice->base[b] + part.offset[next + 1] * row;
        else if (m.slice->direct[b])
            from = m.slice->base[b] + (c.reversed ? c.time - 1 - next : next) * c.sequences[spec.external].time_stride;
        else if (spec.kind == Kind::Input && within) from = m.slice->base[b] + (part.offset[next] - part.offset[first]) * row;
        if (!from) continue;
        const Index share = rows * m.place / m.team, end = rows * (m.place + 1) / m.team;
        m.ahead.add(from + share * row, (end - share) * row * static_cast<Index>(sizeof(T)));
    }
    Index steps = 0;
    for (const Stage& stage : s.step) {
        const Panels panels = own_panels(m, stage, keeps(m, part.active[t]));
        for (std::size_t i = 0; i < stage.terms.size(); ++i)
            steps += packed_of(stage.terms[i].matrix).digits ? digit_rounds(part.active[t], panels.count(), stage.inners[i])
                                                             : rounds_of(part.active[t], panels.count()) * stage.inners[i];
    }
    m.ahead.start(steps);
}

// Before a step: sequences that begin here get their state, and resets are made.
template <class T> void Run<T>::enter(Member<T>& m, Index t) const {
    const Slice& part = *m.slice->part;
    const Index begun = s.descending ? (t + 1 < c.time ? part.active[t + 1] : 0) : (t == 0 ? 0 : part.active[t]);
    const bool resets = c.resets && !s.descending;
    if (begun == part.active[t] && !resets) return;
    // Others may still be at the step before; where the rows change, so may the columns of a member.
    meet(m);
    if (m.place == 0)
        for (std::size_t b = 0; b < s.buffers.size(); ++b) {
            const BufferSpec& spec = s.buffers[b];
            if (spec.kind != Kind::State) continue;
            const Index row = m.slice->row[b];
            for (Index r = 0; r < part.active[t]; ++r) {
                const bool reset = resets && reset_at(part, r, t);
                if (r < begun && !reset) continue;
                const T* from = static_cast<const T*>(reset ? c.state_reset[spec.external] : c.state_in[spec.external]);
                T* to = m.now[b] + r * row;
                if (from) copy_row(to, from + part.rows[r] * spec.width, spec.width);
                else std::fill(to, to + spec.width, T(0));
            }
        }
    meet(m);
}

// After a step: sequences that end here leave their state; what a reset cut off goes to the gradient of its state.
template <class T> void Run<T>::leave(Member<T>& m, Index t) const {
    const Slice& part = *m.slice->part;
    const Index going = s.descending ? (t == 0 ? 0 : part.active[t]) : (t + 1 < c.time ? part.active[t + 1] : 0);
    const bool resets = c.resets && s.descending;
    if (going == part.active[t] && !resets) return;
    // Others may still be at this step; where the rows change, so may the columns of a member.
    meet(m);
    if (m.place == 0)
        for (std::size_t b = 0; b < s.buffers.size(); ++b) {
            const BufferSpec& spec = s.buffers[b];
            if (spec.kind != Kind::State) continue;
            const Index row = m.slice->row[b];
            for (Index r = 0; r < part.active[t]; ++r) {
                T* from = m.out[b] + r * row;
                if (resets && reset_at(part, r, t)) {
                    if (T* to = static_cast<T*>(c.state_reset[spec.external]))
                        for (int j = 0; j < spec.width; ++j) to[part.rows[r] * spec.width + j] += from[j];
                    std::fill(from, from + spec.width, T(0));
                }
                T* to = static_cast<T*>(c.state_out[spec.external]);
                if (r >= going && to) copy_row(to + part.rows[r] * spec.width, from, spec.width);
            }
        }
    meet(m);
}

}  // namespace steploom::STEPLOOM_ISA
