// Runs a schedule over a batch of sequences.
//
// Each slice of the batch has its own rows and runs whole sequences of them; where there is one slice, all threads work
// on it as a team and wait for each other after each stage. Time is cut into chunks: what does not need the state runs
// over all rows of a chunk before or after its steps.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "elementwise.hpp"
#include "memory.hpp"
#include "partition.hpp"
#include "product.hpp"
#include "schedule.hpp"
#include "team.hpp"

namespace steploom::STEPLOOM_ISA {

using Index = std::int64_t;

template <class T> struct Packed {
    int matrix;
    int columns, inner;
    T* panels;
    int count() const { return (columns + panel_columns<T> - 1) / panel_columns<T>; }
};

template <class T> struct PreparedOp {
    Opcode code;
    Tile<T> tile[4];           // out, inputs
    bool moves_row[4], moves_column[4], is_register[4];
    int group;
};

struct Moving {
    int op, slot, buffer, column;
    bool out;
};

template <class T> struct PreparedStage {
    std::vector<PreparedOp<T>> ops;
    std::vector<Moving> moving;
};

template <class T> struct SliceState {
    const Slice* part = nullptr;
    std::vector<T*> base;       // of each buffer
    std::vector<Index> row;     // distance between its rows
    std::vector<char> direct;   // Input, Output: used where the caller's data stand
};

// What one thread needs beside its slice: where the buffers are at the present step.
template <class T> struct Member {
    SliceState<T>* slice = nullptr;
    int place = 0, team = 1;
    std::vector<T*> now, out;  // now: "in" for states
    std::vector<PreparedStage<T>> before, step, after;
    T* registers = nullptr;
    Ahead ahead;
};

template <class T> class Run {
  public:
    Run(const Schedule& schedule, const Call& call) : s(schedule), c(call) {}
    bool operator()();

  protected:
    const Schedule& s;
    const Call& c;
    std::vector<Slice> parts;
    std::vector<SliceState<T>> slices;
    std::vector<Member<T>> members;
    std::vector<Packed<T>> packed;
    std::vector<T*> vectors, constants;
    std::vector<char> in_chunk;  // whether a buffer is used by `before`, `after` or a gradient
    std::unique_ptr<Workspace> space;
    std::unique_ptr<Barrier> team_barrier;
    Index chunk_steps = 1, chunk_rows = 1;
    int threads = 1;

    const Packed<T>& packed_of(int matrix) const {
        for (const auto& p : packed)
            if (p.matrix == matrix) return p;
        return packed.front();
    }
    Index source_time(const Slice& part, Index row, Index t) const { return c.reversed ? part.lengths[row] - 1 - t : t; }
    bool reset_at(const Slice& part, Index row, Index t) const {
        const Index at = c.reversed ? part.lengths[row] - t : t;
        return (!c.reversed || t > 0) && c.resets[at * c.batch + part.rows[row]];
    }
    bool direct(const Slice& part, int buffer) const;
    void layout();
    void prepare(Member<T>& m);
    void prepare(Member<T>& m, const std::vector<Stage>& stages, std::vector<PreparedStage<T>>& into);
    void pack_share(int thread, int count);
    void place(Member<T>& m, Index t, Index first) const;
    void place_chunk(Member<T>& m, Index first) const;
    T* find(const Member<T>& m, const Operand& o) const;
    Index row_of(const Member<T>& m, const Operand& o) const;
    void gather(Member<T>& m, Index first, Index last) const;
    void scatter(Member<T>& m, Index first, Index last) const;
    void enter(Member<T>& m, Index t) const;
    void leave(Member<T>& m, Index t) const;
    void stages(Member<T>& m, const std::vector<Stage>& list, std::vector<PreparedStage<T>>& prepared, Index rows, Ahead* ahead = nullptr) const;
    void look_ahead(Member<T>& m, Index t, Index first, Index last) const;
    void run_product(const Member<T>& m, const Stage& stage, Index row, Index rows, int first, int last, Ahead* ahead) const;
    void run_elementwise(Member<T>& m, const Stage& stage, PreparedStage<T>& prepared, Index row, Index rows, int first, int last) const;
    void run_reduction(const Member<T>& m, const Stage& stage, Index row, Index rows) const;
    void chunk(Member<T>& m, Index first, Index last) const;
    void gradients(int thread, int count, Index first, Index last);
    void copy_row(T* to, const T* from, int width) const { std::copy(from, from + width, to); }
};

template <class T> bool Run<T>::direct(const Slice& part, int buffer) const {
    const BufferSpec& spec = s.buffers[buffer];
    if (!part.uniform) return false;
    if (!in_chunk[buffer]) return true;
    const Sequence& sequence = c.sequences[spec.external];
    return !c.reversed && static_cast<Index>(part.rows.size()) == c.batch &&
           (c.time == 1 || sequence.time_stride == c.batch * sequence.batch_stride) &&
           (sequence.batch_stride * sizeof(T)) % 512 != 0;
}

template <class T> void Run<T>::layout() {
    parts = partition(c.time, c.batch, c.lengths, c.slices);
    threads = c.slices * c.team;
    team_barrier = std::make_unique<Barrier>(c.team);

    in_chunk.assign(s.buffers.size(), 0);
    const auto used = [&](const Operand& o) {
        if (o.where == Where::Buffer || o.where == Where::StateOut) in_chunk[o.index] = 1;
    };
    for (const auto* list : {&s.before, &s.after})
        for (const Stage& stage : *list) {
            used(stage.init), used(stage.out), used(stage.in);
            for (const Term& term : stage.terms) used(term.left);
            for (const ElementOp& op : stage.ops) {
                used(op.out);
                for (const Operand& in : op.in) used(in);
            }
        }
    for (const WeightGradient& g : s.weight_gradients) used(g.grad), used(g.left);
    for (const VectorGradient& g : s.vector_gradients) used(g.value);

    std::size_t elements = 0;
    const auto take = [&](Index count) {
        const std::size_t at = elements;
        elements += static_cast<std::size_t>((count + 15) / 16 * 16);
        return at;
    };
    // Weights.
    std::vector<std::size_t> packed_at;
    for (const auto* list : {&s.before, &s.step, &s.after})
        for (const Stage& stage : *list)
            for (std::size_t i = 0; i < stage.terms.size(); ++i) {
                const Term& term = stage.terms[i];
                bool known = false;
                for (const auto& p : packed) known |= p.matrix == term.matrix;
                if (known) continue;
                packed.push_back({term.matrix, stage.width, stage.inners[i], nullptr});
                packed_at.push_back(take(Index{packed.back().count()} * panel_columns<T> * stage.inners[i]));
            }
    // Rows of a chunk: few enough to stay in the second-level cache, enough to use a weight often once it is there.
    Index width = 0, widest_slice = 1;
    for (std::size_t b = 0; b < s.buffers.size(); ++b)
        if (s.buffers[b].kind == Kind::Chunk || s.buffers[b].kind == Kind::Input || s.buffers[b].kind == Kind::Output)
            width += row_stride(s.buffers[b].width);
    for (const Slice& part : parts) widest_slice = std::max(widest_slice, static_cast<Index>(part.rows.size()));
    const Index fitting = (Index{512} << 10) / std::max<Index>(1, width * static_cast<Index>(sizeof(T)));
    // Sums over many steps read and write the gradients of all weights once a chunk: of large weights more than the rows.
    Index weights = 0;
    for (const WeightGradient& g : s.weight_gradients) weights += Index{g.n} * g.k;
    const Index least = weights * static_cast<Index>(sizeof(T)) > (Index{2} << 20) ? 384 : 128;
    chunk_steps = std::max<Index>(1, std::clamp<Index>(fitting, least, 512) / widest_slice);
    chunk_steps = std::min(chunk_steps, c.time);
    const Index chunks = (c.time + chunk_steps - 1) / chunk_steps;
    chunk_steps = (c.time + chunks - 1) / chunks;
    chunk_rows = chunk_steps * widest_slice;

    std::vector<std::size_t> vector_at, constant_at;
    for (int n : s.vector_widths) vector_at.push_back(take(n));
    for (std::size_t i = 0; i < s.constants.size(); ++i) constant_at.push_back(take(tile_values));

    slices.resize(parts.size());
    std::vector<std::vector<std::size_t>> buffer_at(parts.size(), std::vector<std::size_t>(s.buffers.size(), 0));
    for (std::size_t i = 0; i < parts.size(); ++i) {
        SliceState<T>& slice = slices[i];
        slice.part = &parts[i];
        slice.base.assign(s.buffers.size(), nullptr);
        slice.row.assign(s.buffers.size(), 0);
        slice.direct.assign(s.buffers.size(), 0);
        const Index rows = static_cast<Index>(parts[i].rows.size());
        for (std::size_t b = 0; b < s.buffers.size(); ++b) {
            const BufferSpec& spec = s.buffers[b];
            slice.row[b] = row_stride(spec.width);
            switch (spec.kind) {
                case Kind::Input:
                case Kind::Output:
                    if (direct(parts[i], static_cast<int>(b))) {
                        slice.direct[b] = 1;
                        slice.row[b] = c.sequences[spec.external].batch_stride;
                        break;
                    }
                    [[fallthrough]];
                case Kind::Chunk: buffer_at[i][b] = take(chunk_rows * slice.row[b] + 16); break;
                case Kind::Step: buffer_at[i][b] = take(rows * slice.row[b] + 16); break;
                case Kind::State:
                    if (spec.saved < 0) buffer_at[i][b] = take(2 * rows * slice.row[b] + 16);
                    break;
                case Kind::Saved: break;
            }
        }
    }
    std::vector<std::size_t> registers_at;
    for (int i = 0; i < threads; ++i) registers_at.push_back(take(Index{std::max(1, s.registers)} * tile_values));

    space = std::make_unique<Workspace>(elements * sizeof(T));
    for (std::size_t i = 0; i < packed.size(); ++i) packed[i].panels = space->at<T>(packed_at[i]);
    for (std::size_t i = 0; i < vector_at.size(); ++i) {
        T* sum = space->at<T>(vector_at[i]);
        std::fill(sum, sum + s.vector_widths[i], T(0));
        for (int v : s.vector_parts[i])
            for (int n = 0; n < s.vector_widths[i]; ++n) sum[n] += static_cast<const T*>(c.vectors[v])[n];
        vectors.push_back(sum);
    }
    for (std::size_t i = 0; i < constant_at.size(); ++i) {
        constants.push_back(space->at<T>(constant_at[i]));
        std::fill(constants.back(), constants.back() + tile_values, static_cast<T>(s.constants[i]));
    }
    // Saved regions: all slices of the first, then all of the second, and so on.
    std::vector<std::vector<T*>> saved(parts.size());
    T* region = static_cast<T*>(c.saved);
    for (int w : s.saved_widths)
        for (std::size_t i = 0; i < parts.size(); ++i) {
            saved[i].push_back(region);
            if (region) region += parts[i].saved_rows() * row_stride(w);
        }
    for (std::size_t i = 0; i < parts.size(); ++i)
        for (std::size_t b = 0; b < s.buffers.size(); ++b) {
            const BufferSpec& spec = s.buffers[b];
            if (spec.kind == Kind::Saved) slices[i].base[b] = saved[i][spec.external];
            else if (spec.kind == Kind::State && spec.saved >= 0) slices[i].base[b] = saved[i][spec.saved];
            else if (slices[i].direct[b])
                slices[i].base[b] = static_cast<T*>(c.sequences[spec.external].data) +
                                    (parts[i].rows.empty() ? 0 : parts[i].rows[0]) * c.sequences[spec.external].batch_stride;
            else slices[i].base[b] = space->at<T>(buffer_at[i][b]);
        }
    members.resize(threads);
    for (int i = 0; i < threads; ++i) {
        Member<T>& m = members[i];
        m.slice = &slices[i / c.team];
        m.place = i % c.team;
        m.team = c.team;
        m.registers = space->at<T>(registers_at[i]);
        m.now.assign(s.buffers.size(), nullptr);
        m.out.assign(s.buffers.size(), nullptr);
        prepare(m, s.before, m.before);
        prepare(m, s.step, m.step);
        prepare(m, s.after, m.after);
    }
}

template <class T>
void Run<T>::prepare(Member<T>& m, const std::vector<Stage>& list, std::vector<PreparedStage<T>>& into) {
    into.resize(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Stage& stage = list[i];
        if (stage.kind != StageKind::Elementwise) continue;
        for (const ElementOp& op : stage.ops) {
            PreparedOp<T> ready{};
            ready.code = op.code;
            ready.group = op.group;
            for (int slot = 0; slot < 4; ++slot) {
                const Operand& o = slot ? op.in[slot - 1] : op.out;
                switch (o.where) {
                    case Where::None: break;
                    case Where::Buffer:
                    case Where::StateOut:
                        ready.moves_row[slot] = true;
                        ready.moves_column[slot] = op.code != Opcode::expand || slot == 0;
                        ready.tile[slot].row = m.slice->row[o.index];
                        into[i].moving.push_back({static_cast<int>(into[i].ops.size()), slot, o.index, o.column, o.where == Where::StateOut});
                        break;
                    case Where::Vector:
                        ready.moves_column[slot] = true;
                        ready.tile[slot].data = vectors[o.index] + o.column;
                        break;
                    case Where::Constant: ready.tile[slot].data = constants[o.index]; break;
                    case Where::Register: 
                        ready.is_register[slot] = true;
                        ready.tile[slot].data = m.registers + o.index * tile_values;
                        break;
                }
            }
            into[i].ops.push_back(ready);
        }
    }
}

template <class T> void Run<T>::pack_share(int thread, int count) {
    for (Packed<T>& p : packed) {
        const MatrixView& m = c.matrices[p.matrix];
        pack(static_cast<const T*>(m.data), m.row_stride, m.column_stride, p.columns, p.inner, p.panels, p.count() * thread / count,
             p.count() * (thread + 1) / count);
    }
}

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
        if (slice.direct[b]) m.now[b] = base + first * c.sequences[s.buffers[b].external].time_stride;
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
    return o.where == Where::Buffer || o.where == Where::StateOut ? m.slice->row[o.index] : 0;
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

// Notes what the step after step t will touch of the long buffers, for the first product of step t.
template <class T> void Run<T>::look_ahead(Member<T>& m, Index t, Index first, Index last) const {
    m.ahead = Ahead{};
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
}

// Before a step: sequences that begin here get their state, and resets are made.
template <class T> void Run<T>::enter(Member<T>& m, Index t) const {
    const Slice& part = *m.slice->part;
    const Index begun = s.descending ? (t + 1 < c.time ? part.active[t + 1] : 0) : (t == 0 ? 0 : part.active[t]);
    const bool resets = c.resets && !s.descending;
    if (begun == part.active[t] && !resets) return;
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
    team_barrier->wait();
}

// After a step: sequences that end here leave their state; what a reset cut off goes to the gradient of its state.
template <class T> void Run<T>::leave(Member<T>& m, Index t) const {
    const Slice& part = *m.slice->part;
    const Index going = s.descending ? (t == 0 ? 0 : part.active[t]) : (t + 1 < c.time ? part.active[t + 1] : 0);
    const bool resets = c.resets && s.descending;
    if (going == part.active[t] && !resets) return;
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
    team_barrier->wait();
}

template <class T>
void Run<T>::run_product(const Member<T>& m, const Stage& stage, Index row, Index rows, int first, int last, Ahead* ahead) const {
    Factor<T> factors[8];
    const int count = static_cast<int>(stage.terms.size());
    for (int i = 0; i < count; ++i) {
        const Term& term = stage.terms[i];
        const Packed<T>& p = packed_of(term.matrix);
        const Index left = row_of(m, term.left);
        factors[i] = {find(m, term.left) + row * left, left, p.panels, Index{panel_columns<T>} * p.inner, p.inner};
    }
    const Index init = row_of(m, stage.init), out = row_of(m, stage.out);
    const T* from = find(m, stage.init);
    product(factors, count, from ? from + row * init : nullptr, init, find(m, stage.out) + row * out, out, rows, stage.width, first, last, ahead);
}

template <class T>
void Run<T>::run_elementwise(Member<T>& m, const Stage&, PreparedStage<T>& prepared, Index row, Index rows, int first, int last) const {
    constexpr int L = lanes<T>;
    for (const Moving& at : prepared.moving)
        prepared.ops[at.op].tile[at.slot].data = (at.out ? m.out[at.buffer] : m.now[at.buffer]) + at.column;
    const int blocks = (last - first + tile_values - 1) / tile_values;
    const int width = ((last - first + blocks - 1) / blocks + L - 1) / L * L;
    const Index height = std::max<Index>(1, tile_values / width);
    for (Index r = row; r < row + rows; r += height) {
        const int tile_rows = static_cast<int>(std::min(height, row + rows - r));
        for (int j = first; j < last; j += width) {
            const int columns = std::min(width, last - j);
            for (const PreparedOp<T>& op : prepared.ops) {
                Tile<T> tile[4];
                for (int slot = 0; slot < 4; ++slot) {
                    const Tile<T>& from = op.tile[slot];
                    if (op.moves_row[slot]) tile[slot] = {from.data + r * from.row + (op.moves_column[slot] ? j : 0), from.row};
                    else if (op.moves_column[slot]) tile[slot] = {from.data + j, 0};
                    else tile[slot] = {from.data, op.is_register[slot] ? width : 0};
                }
                if (op.code == Opcode::expand) {
                    for (int i = 0; i < tile_rows; ++i)
                        for (int k = 0; k < columns; ++k)
                            tile[0].data[i * tile[0].row + k] = tile[1].data[i * tile[1].row + (j + k) / op.group];
                    continue;
                }
                run_op<T>(op.code, tile_rows, columns, tile[0], tile[1], tile[2], tile[3]);
            }
        }
    }
}

template <class T> void Run<T>::run_reduction(const Member<T>& m, const Stage& stage, Index row, Index rows) const {
    const Index in = row_of(m, stage.in), out = row_of(m, stage.out);
    const int size = stage.width / stage.groups;
    for (Index r = row; r < row + rows; ++r)
        for (int g = 0; g < stage.groups; ++g)
            find(m, stage.out)[r * out + g] = reduce(find(m, stage.in) + r * in + g * size, size, stage.kind == StageKind::Max);
}

// All stages of a list on `rows` rows, shared among the team.
template <class T>
void Run<T>::stages(Member<T>& m, const std::vector<Stage>& list, std::vector<PreparedStage<T>>& prepared, Index rows, Ahead* ahead) const {
    const bool by_row = rows >= 4 * m.team || m.team == 1;
    const Index row = by_row ? rows * m.place / m.team : 0, height = by_row ? rows * (m.place + 1) / m.team - row : rows;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Stage& stage = list[i];
        if (stage.kind == StageKind::Product) {
            const int panels = (stage.width + panel_columns<T> - 1) / panel_columns<T>;
            run_product(m, stage, 0, rows, panels * m.place / m.team, panels * (m.place + 1) / m.team, ahead);
            ahead = nullptr;
        } else if (stage.kind == StageKind::Elementwise) {
            if (by_row) {
                if (height > 0) run_elementwise(m, stage, prepared[i], row, height, 0, stage.width);
            } else {
                const int blocks = (stage.width + 15) / 16;
                const int first = blocks * m.place / m.team * 16, last = std::min(stage.width, blocks * (m.place + 1) / m.team * 16);
                if (last > first) run_elementwise(m, stage, prepared[i], 0, rows, first, last);
            }
        } else if (by_row || m.place == 0) {
            run_reduction(m, stage, by_row ? row : 0, by_row ? height : rows);
        }
        team_barrier->wait();
    }
}

template <class T> void Run<T>::chunk(Member<T>& m, Index first, Index last) const {
    const Slice& part = *m.slice->part;
    const Index rows = part.offset[last] - part.offset[first];
    gather(m, first, last);
    team_barrier->wait();
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
        stages(m, s.step, m.step, part.active[t], m.ahead.count ? &m.ahead : nullptr);
        leave(m, t);
    }
    if (!s.after.empty() && rows) {
        place_chunk(m, first);
        stages(m, s.after, m.after, rows);
    }
    scatter(m, first, last);
}

template <class T> void Run<T>::gradients(int thread, int count, Index first, Index last) {
    for (std::size_t i = 0; i < slices.size(); ++i) {
        Member<T> at;
        at.slice = &slices[i];
        at.now.assign(s.buffers.size(), nullptr);
        at.out.assign(s.buffers.size(), nullptr);
        const Index rows = parts[i].offset[last] - parts[i].offset[first];
        place_chunk(at, first);
        for (const WeightGradient& g : s.weight_gradients) {
            const MatrixView& m = c.matrices[g.matrix];
            if (!m.gradient) continue;
            const T *grad = find(at, g.grad), *left = find(at, g.left);
            const Index grad_row = row_of(at, g.grad), left_row = row_of(at, g.left);
            T* to = static_cast<T*>(m.gradient);
            if (m.gradient_column_stride == 1 && g.k >= lanes<T>) {
                const int n0 = g.n * thread / count, n1 = g.n * (thread + 1) / count;
                outer(rows, grad + n0, grad_row, n1 - n0, left, left_row, g.k, to + n0 * m.gradient_row_stride, m.gradient_row_stride, true);
            } else if (m.gradient_row_stride == 1 && m.gradient_column_stride >= g.n) {
                const int k0 = g.k * thread / count, k1 = g.k * (thread + 1) / count;
                outer(rows, left + k0, left_row, k1 - k0, grad, grad_row, g.n, to + k0 * m.gradient_column_stride, m.gradient_column_stride, true);
            } else {
                // Few columns, or strides of neither kind: sum the other way round in blocks, then add them in place.
                constexpr int block = panel_columns<T>;
                alignas(64) T sum[most_rows * block];
                const int blocks = (g.n + block - 1) / block;
                for (int n = blocks * thread / count * block; n < std::min(g.n, blocks * (thread + 1) / count * block); n += block)
                    for (int k = 0; k < g.k; k += most_rows) {
                        const int width = std::min(block, g.n - n), height = std::min(most_rows, g.k - k);
                        outer(rows, left + k, left_row, height, grad + n, grad_row, width, sum, block, false);
                        for (int a = 0; a < height; ++a)
                            for (int b = 0; b < width; ++b)
                                to[(n + b) * m.gradient_row_stride + (k + a) * m.gradient_column_stride] += sum[a * block + b];
                    }
            }
        }
        for (const VectorGradient& g : s.vector_gradients) {
            T* to = static_cast<T*>(c.vector_gradients[g.vector]);
            if (!to) continue;
            to += g.column;
            const T* value = find(at, g.value);
            const Index row = row_of(at, g.value);
            const int n0 = g.width * thread / count, n1 = g.width * (thread + 1) / count;
            for (Index r = 0; r < rows; ++r)
                for (int n = n0; n < n1; ++n) to[n] += value[r * row + n];
        }
    }
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
    Barrier all(threads);
    // So many chunks are run before it is asked whether the user wants to stop: a few milliseconds of the largest work.
    const Index together = 16;
    for (Index begin = 0; begin < chunks; begin += together) {
        const Index end = std::min(chunks, begin + together);
        const auto work = [&](int thread) {
            FlushDenormals flush;
            Member<T>& m = members[thread];
            if (begin == 0) {
                pack_share(thread, threads);
                all.wait();
            }
            for (Index i = begin; i < end; ++i) {
                const Index k = s.descending ? chunks - 1 - i : i;
                const Index first = k * chunk_steps, last = std::min(c.time, first + chunk_steps);
                chunk(m, first, last);
                if (!has_gradients) continue;
                all.wait();
                gradients(thread, threads, first, last);
                all.wait();
            }
        };
        on_threads(threads, work);
        if (end < chunks && c.interrupted && c.interrupted()) return false;
    }
    return true;
}

template <class T> bool run(const Schedule& schedule, const Call& call) { return Run<T>(schedule, call)(); }

}  // namespace steploom::STEPLOOM_ISA
