// Where everything of a call lies in memory, and what can be prepared before the first step.
#pragma once

#include "call.hpp"
#include "pack.hpp"

namespace steploom::STEPLOOM_ISA {

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
    if (c.team > 1) columns = keep_columns(s, panel_columns<T>, c.team);
    all_barrier = std::make_unique<Barrier>(threads);
    find_chunk_buffers();
    choose_chunks();
    find_matrices();
    // A product of digits is made in one piece.
    const auto of_digits = [&](const Term& term) { return packed_of(term.matrix).digits; };
    for (std::size_t i = 0; i < columns.begins.size(); ++i)
        if (std::any_of(s.step[i].terms.begin(), s.step[i].terms.end(), of_digits)) columns.begins[i] = 0;
    find_shared_gradients();
    choose_sums();
    choose_summed_in_steps();

    place_weights();
    Reservation<T> memory;
    vectors.resize(s.vector_widths.size());
    for (std::size_t i = 0; i < vectors.size(); ++i) memory.add(vectors[i], s.vector_widths[i]);
    constants.resize(s.constants.size());
    for (T*& constant : constants) memory.add(constant, tile_values);
    place_buffers(memory);
    for (OwnSum<T>& own : weight_sums) memory.add(own.data, (threads - 1) * own.size);
    for (OwnSum<T>& own : vector_sums) memory.add(own.data, (threads - 1) * own.size);
    members.resize(threads), readers.resize(threads);
    for (Member<T>& m : members) memory.add(m.registers, Index{std::max(1, s.registers)} * tile_values);
    const auto packs_its_tiles = [](const WeightGradient& g) { return packs_tiles<T>(std::max(g.n, g.k)); };
    const auto may_be_of_digits = [&](const WeightGradient& g) { return digits_of_gradient(chunk_rows, g.n, g.k); };
    if (std::any_of(s.weight_gradients.begin(), s.weight_gradients.end(), may_be_of_digits))
        for (Member<T>& reader : readers) memory.add(reader.outer, digit_space);
    else if (std::any_of(s.weight_gradients.begin(), s.weight_gradients.end(), packs_its_tiles))
        for (Member<T>& reader : readers) memory.add(reader.outer, outer_space<T>);
    space = memory.take();

    place_saved();
    fill_constants();
    make_members();
}

// Which buffers the stages before and after the steps use, or a gradient: all steps of a chunk at a time.
template <class T> void Run<T>::find_chunk_buffers() {
    in_chunk.assign(s.buffers.size(), 0);
    const auto used = [&](const Operand& o) {
        if (is_buffer(o)) in_chunk[o.index] = 1;
    };
    for (const auto* list : {&s.before, &s.after})
        for (const Stage& stage : *list) {
            used(stage.init), used(stage.out);
            for (const Operand& in : stage.in) used(in);
            for (const Term& term : stage.terms) used(term.left);
            for (const ElementOp& op : stage.ops) {
                used(op.out);
                for (const Operand& in : op.in) used(in);
            }
        }
    for (const WeightGradient& g : s.weight_gradients) used(g.grad), used(g.left);
    for (const VectorGradient& g : s.vector_gradients) used(g.value), used(g.by);
}

// Which matrices products read, in the order in which they do, and whether as digits.
template <class T> void Run<T>::find_matrices() {
    packed_at.assign(c.matrices.size(), -1);
    for (const auto* list : {&s.before, &s.step, &s.after}) {
        const bool here = list == &s.step ? digits_in_steps() : digits_in_chunks();
        for (const Stage& stage : *list)
            for (std::size_t i = 0; i < stage.terms.size(); ++i) {
                const int matrix = stage.terms[i].matrix, inner = stage.inners[i];
                if (packed_at[matrix] >= 0) continue;
                packed_at[matrix] = static_cast<int>(packed.size());
                packed.push_back({matrix, stage.width, inner, here && digits_of(stage.width, inner), nullptr, nullptr, nullptr, nullptr});
                Packed<T>& p = packed.back();
                const Operand& left = stage.terms[i].left;
                if (p.digits && left.where == Where::Buffer && s.buffers[left.index].kind == Kind::Input) p.input = &stage.terms[i];
            }
    }
}

// Panels of this call alone, or those that the caller keeps.
template <class T> void Run<T>::place_weights() {
    Reservation<T> memory;
    for (Packed<T>& p : packed) {
        memory.add(p.panels, p.count() * p.panel_size());
        if (p.input) memory.add(p.up, p.inner), memory.add(p.down, p.inner);
    }
    const Workspace* kept = c.kept_weights ? c.kept_weights->of(s, layout_of_weights()) : nullptr;
    packs = !kept;
    if (packs) packed_space = memory.take();
    else memory.lie_in(*kept);
    if (packs) balance_inputs();
}

// Features of an input may differ by many powers of ten. Some rows tell which are large; where the caller has yet to give
// them, as in a stream, nothing is known.
template <class T> void Run<T>::balance_inputs() {
    if constexpr (has_digits<T>)
        for (Packed<T>& p : packed) {
            if (!p.input) continue;
            const Sequence& sequence = c.sequences[s.buffers[p.input->left.index].external];
            std::vector<T> most(p.inner, T(0));
            const Index sequences = sequence.data ? std::min<Index>(c.batch, sampled_rows) : 0;
            for (Index i = 0; i < sequences; ++i) {
                const Index b = c.batch * i / sequences, length = c.lengths ? c.lengths[b] : c.time;
                const Index steps = std::min(length, sampled_rows / sequences);
                for (Index j = 0; j < steps; ++j) {
                    const T* const row = static_cast<const T*>(sequence.data) + length * j / steps * sequence.time_stride +
                                         b * sequence.batch_stride + p.input->left.column;
                    for (int k = 0; k < p.inner; ++k) most[k] = std::max(most[k], std::fabs(row[k]));
                }
            }
            balance(most.data(), p.inner, p.up, p.down);
        }
}

// Rows of a chunk: few enough to stay in the second-level cache, enough to use a weight often once it is there.
template <class T> void Run<T>::choose_chunks() {
    Index width = 0;
    const Index widest_slice = std::max<Index>(1, step_rows());
    for (const BufferSpec& spec : s.buffers)
        if (spec.kind == Kind::Chunk || spec.kind == Kind::Input || spec.kind == Kind::Output) width += row_stride(spec.width);
    const Index fitting = (Index{512} << 10) / std::max<Index>(1, width * static_cast<Index>(sizeof(T)));
    // Sums over many steps read and write the gradients of all weights once a chunk: of large weights more than the rows.
    Index weights = 0;
    for (const WeightGradient& g : s.weight_gradients) weights += Index{g.n} * g.k;
    const Index least = weights * static_cast<Index>(sizeof(T)) > (Index{2} << 20) ? 1024 : 128;
    chunk_steps = std::max<Index>(1, std::max(least, std::min<Index>(fitting, 512)) / widest_slice);
    chunk_steps = std::max<Index>(1, std::min(chunk_steps, c.time));
    const Index chunks = (c.time + chunk_steps - 1) / chunk_steps;
    chunk_steps = (c.time + chunks - 1) / chunks;
    chunk_rows = chunk_steps * widest_slice;
}

// Buffers of this call alone, and those that stand where the caller's data are.
template <class T> void Run<T>::place_buffers(Reservation<T>& memory) {
    slices.resize(parts.size());
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
                        const Sequence& sequence = c.sequences[spec.external];
                        slice.direct[b] = 1;
                        slice.row[b] = sequence.batch_stride;
                        slice.base[b] = static_cast<T*>(sequence.data) + (rows ? parts[i].rows[0] : 0) * sequence.batch_stride;
                        break;
                    }
                    [[fallthrough]];
                case Kind::Chunk: memory.add(slice.base[b], chunk_rows * slice.row[b] + 16); break;
                case Kind::Step: memory.add(slice.base[b], rows * slice.row[b] + 16); break;
                case Kind::State:
                    if (spec.saved < 0) memory.add(slice.base[b], 2 * rows * slice.row[b] + 16);
                    break;
                case Kind::Saved: break;
            }
        }
    }
}

// Saved regions: all slices of the first, then all of the second, and so on.
template <class T> void Run<T>::place_saved() {
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
        }
}

template <class T> void Run<T>::fill_constants() {
    for (std::size_t i = 0; i < vectors.size(); ++i) {
        std::fill(vectors[i], vectors[i] + s.vector_widths[i], T(0));
        for (int v : s.vector_parts[i])
            for (int n = 0; n < s.vector_widths[i]; ++n) vectors[i][n] += static_cast<const T*>(c.vectors[v])[n];
    }
    for (std::size_t i = 0; i < constants.size(); ++i)
        std::fill(constants[i], constants[i] + tile_values, static_cast<T>(s.constants[i]));
}

template <class T> void Run<T>::make_members() {
    for (Member<T>& reader : readers) {
        reader.now.assign(s.buffers.size(), nullptr);
        reader.out.assign(s.buffers.size(), nullptr);
    }
    for (int i = 0; i < threads; ++i) {
        Member<T>& m = members[i];
        m.slice = &slices[i / c.team];
        m.place = i % c.team;
        m.team = c.team;
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
            const bool expands = op.code == Opcode::expand;  // looks up by itself where a value belongs
            ready.group = op.in[0].group;
            for (int slot = 0; slot < 4; ++slot) {
                const Operand& o = slot ? op.in[slot - 1] : op.out;
                const int shared = expands ? 0 : o.group;
                ready.shared[slot] = shared;
                ready.tile[slot].shared = shared > 0;
                if (shared) ready.shares = true, into[i].groups.push_back(shared);
                switch (o.where) {
                    case Where::None: break;
                    case Where::Buffer:
                    case Where::StateOut:
                        ready.moves_row[slot] = true;
                        ready.moves_column[slot] = !expands || slot == 0;
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
        const int first = p.count() * thread / count, last = p.count() * (thread + 1) / count;
        if constexpr (has_digits<T>)
            if (p.digits) {
                pack_digits(static_cast<const T*>(m.data), m.row_stride, m.column_stride, p.columns, p.inner, p.up, p.panels, first, last);
                continue;
            }
        pack(static_cast<const T*>(m.data), m.row_stride, m.column_stride, p.columns, p.inner, p.panels, first, last);
    }
}

}  // namespace steploom::STEPLOOM_ISA
