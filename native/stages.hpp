// Runs the stages of a step or of a chunk.
#pragma once

#include "call.hpp"

namespace steploom::STEPLOOM_ISA {

// A member that has arrived may do what needs nobody else, until it awaits the others.
template <class T> void Run<T>::arrive(Member<T>& m) const {
    m.round = team_barrier->arrive(m.place);
    m.arrived = true;
}

template <class T> void Run<T>::await_others(Member<T>& m) const {
    team_barrier->wait_for(m.round);
    m.arrived = false;
}

// Waits until all have come this far; who has arrived already need not do so again.
template <class T> void Run<T>::meet(Member<T>& m) const {
    if (m.team == 1) return;
    if (!m.arrived) arrive(m);
    await_others(m);
}

template <class T>
void Run<T>::run_product(const Member<T>& m, const Stage& stage, Index rows, Panels panels, bool far, Ahead* ahead, Sums sums) const {
    Factor<T> factors[most_terms];
    DigitFactor of_digits[most_terms];
    int count = 0, digits = 0;
    for (const Term& term : stage.terms) {
        const Packed<T>& p = packed_of(term.matrix);
        const T* const left = find(m, term.left);
        if constexpr (has_digits<T>)
            if (p.digits) {
                of_digits[digits++] = {left, row_of(m, term.left), p.panels, p.inner, p.down};
                continue;
            }
        const auto add = [&](Index first, Index last) {
            if (last > first)
                factors[count++] = {left + first, row_of(m, term.left), p.panels + first * panel_columns<T>, p.panel_size(), last - first};
        };
        if (sums == Sums::All || !columns.made_in_steps(term.left)) {
            if (sums != Sums::Rest) add(0, p.inner);
            continue;
        }
        const auto [first, last] = share_of(columns.width / panel_columns<T>, m.place, m.team);
        const Index own = first * panel_columns<T>, end = last * panel_columns<T>;
        Index from = 0;
        for (Index at = 0; at < p.inner; at += columns.width) {
            if (sums == Sums::Own) add(at + own, at + end);
            else add(from, at + own);
            from = at + end;
        }
        if (sums == Sums::Rest) add(from, p.inner);
    }
    T* const out = find(m, stage.out);
    const Index out_row = row_of(m, stage.out);
    const T* const init = sums == Sums::Rest ? out : find(m, stage.init);
    const Index init_row = sums == Sums::Rest ? out_row : row_of(m, stage.init);
    for (int i = 0; i < panels.times; ++i) {
        const int first = panels.first + i * panels.apart, last = panels.last + i * panels.apart;
        if (count || !digits) product(factors, count, init, init_row, out, out_row, rows, stage.width, first, last, far, ahead);
        if constexpr (has_digits<T>)
            if (digits) digit_product(of_digits, digits, count ? out : init, count ? out_row : init_row, out, out_row, rows, stage.width, first, last, ahead);
    }
}

// Points the operands of a pass at where the buffers are now.
template <class T> void Run<T>::point(const Member<T>& m, PreparedStage<T>& prepared) const {
    for (const Moving& at : prepared.moving)
        prepared.ops[at.op].tile[at.slot].data = (at.out ? m.out[at.buffer] : m.now[at.buffer]) + at.column;
}

template <class T>
void Run<T>::run_elementwise(const PreparedStage<T>& prepared, Index row, Index rows, int first, int last) const {
    constexpr int L = lanes<T>;
    int widest = last - first;
    for (int group : prepared.groups) widest = std::min(widest, group);
    const int blocks = (widest + tile_values - 1) / tile_values;
    const int width = ((widest + blocks - 1) / blocks + L - 1) / L * L;
    const Index height = std::max<Index>(1, tile_values / width);
    for (Index r = row; r < row + rows; r += height) {
        const int tile_rows = static_cast<int>(std::min(height, row + rows - r));
        for (int j = first, columns; j < last; j += columns) {
            columns = std::min(width, last - j);
            for (int group : prepared.groups) columns = std::min(columns, (j / group + 1) * group - j);
            for (const PreparedOp<T>& op : prepared.ops) {
                Tile<T> tile[4];
                for (int slot = 0; slot < 4; ++slot) {
                    const Tile<T>& from = op.tile[slot];
                    const int column = from.shared ? j / op.shared[slot] : op.moves_column[slot] ? j : 0;
                    if (op.moves_row[slot]) tile[slot] = {from.data + r * from.row + column, from.row, from.shared};
                    else tile[slot] = {from.data + column, op.is_register[slot] ? width : 0, from.shared};
                }
                if (op.code == Opcode::expand) {
                    for (int i = 0; i < tile_rows; ++i)
                        expand_row(tile[0].data + i * tile[0].row, tile[1].data + i * tile[1].row, j, columns, op.group);
                    continue;
                }
                if (op.shares) run_op<T, true>(op.code, tile_rows, columns, tile[0], tile[1], tile[2], tile[3]);
                else run_op<T, false>(op.code, tile_rows, columns, tile[0], tile[1], tile[2], tile[3]);
            }
        }
    }
}

template <class T> void Run<T>::run_by_row(const Member<T>& m, const Stage& stage, Index row, Index rows) const {
    const int groups = stage.groups, size = stage.width / groups;
    struct Rows {
        T* data;
        Index row;
        T* at(Index r) const { return data ? data + r * row : nullptr; }
    };
    const auto rows_of = [&](const Operand& o) -> Rows { return {find(m, o), row_of(m, o)}; };
    const Rows out = rows_of(stage.out), in[4] = {rows_of(stage.in[0]), rows_of(stage.in[1]), rows_of(stage.in[2]), rows_of(stage.in[3])};
    for (Index r = row; r < row + rows; ++r) {
        T* const to = out.at(r);
        const T *a = in[0].at(r), *b = in[1].at(r), *c = in[2].at(r), *d = in[3].at(r);
        if (stage.kind == StageKind::Gather) {
            reorder(to, a, stage.stretches);
            continue;
        }
        if (stage.kind == StageKind::Matmul) {
            matmul(to, a, b, stage.matmul, groups);
            continue;
        }
        if (stage.kind == StageKind::Argsort || stage.kind == StageKind::TakeAlong || stage.kind == StageKind::PutAlong) {
            along(to, a, b, stage.kind, stage.along, groups);
            continue;
        }
        for (int g = 0; g < groups; ++g) {
            const int first = g * size;
            switch (stage.kind) {
                case StageKind::Sum: to[g] = sum(a + first, size); break;
                case StageKind::Max: to[g] = largest(a + first, size); break;
                case StageKind::Dot: to[g] = dot(a + first, b + first, size); break;
                case StageKind::Moments: moments(a + first, size, static_cast<T>(stage.epsilon), to[g], to[groups + g]); break;
                case StageKind::Standardize: standardize(to + first, a + first, size, b[g], b[groups + g]); break;
                case StageKind::StandardizeGrad:
                    standardize_grad(to + first, a + first, b ? b + first : b, c + first, size, d[groups + g]);
                    break;
                case StageKind::Product:
                case StageKind::Elementwise:
                case StageKind::Gather:
                case StageKind::Matmul:
                case StageKind::Argsort:
                case StageKind::TakeAlong:
                case StageKind::PutAlong: break;  // not on groups
            }
        }
    }
}

// Stages [first, last), which treat each row by itself, on some rows at a time: what one leaves is still in the
// first-level cache when the next reads it.
template <class T>
void Run<T>::run_rows(const Member<T>& m, const std::vector<Stage>& list, const std::vector<PreparedStage<T>>& prepared,
                      std::size_t first, std::size_t last, Index row, Index rows) const {
    int widest = 1;
    for (std::size_t i = first; i < last; ++i) widest = std::max(widest, list[i].width);
    const Index height = last - first == 1 ? rows : std::max<Index>(1, block_values / widest);
    for (Index r = row; r < row + rows; r += height) {
        const Index here = std::min(height, row + rows - r);
        for (std::size_t i = first; i < last; ++i) {
            if (list[i].kind == StageKind::Elementwise) run_elementwise(prepared[i], r, here, 0, list[i].width);
            else run_by_row(m, list[i], r, here);
        }
    }
}

// All stages of a list on `rows` rows, shared among the team. After those of a step a member may have gone on: without
// waiting at all, see `open_end`, or arrived at the barrier and not yet behind it.
template <class T>
void Run<T>::stages(Member<T>& m, const std::vector<Stage>& list, std::vector<PreparedStage<T>>& prepared, Index rows, Ahead* ahead) const {
    const bool by_row = this->by_row(m, rows), keeps = &list == &s.step && this->keeps(m, rows);
    const Index row = by_row ? rows * m.place / m.team : 0, height = by_row ? rows * (m.place + 1) / m.team - row : rows;
    const auto is_product = [](const Stage& stage) { return stage.kind == StageKind::Product; };
    Index weights = 0;  // that the member reads, of all products together: each of them finds what the others left of the cache
    for (const Stage& stage : list)
        for (int inner : stage.inners) weights += Index{own_panels(m, stage, keeps).count()} * panel_columns<T> * inner;
    const bool far = weights * static_cast<Index>(sizeof(T)) > far_weights;
    for (std::size_t i = 0; i < list.size();) {
        const Stage& stage = list[i];
        if (is_product(stage)) {
            const Panels panels = own_panels(m, stage, keeps);
            if (m.arrived) {
                run_product(m, stage, rows, panels, far, ahead, Sums::Own);
                await_others(m);
                run_product(m, stage, rows, panels, far, ahead, Sums::Rest);
            } else run_product(m, stage, rows, panels, far, ahead);
            ++i;
        } else if (by_row) {
            const std::size_t last = std::find_if(list.begin() + i, list.end(), is_product) - list.begin();
            for (std::size_t k = i; k < last; ++k) point(m, prepared[k]);
            run_rows(m, list, prepared, i, last, row, height);
            i = last;
        } else {
            point(m, prepared[i]);
            // Lines of the cache belong to one member.
            const int block = keeps ? panel_columns<T> : 16;
            const auto [begin, end] = share_of((stage.width + block - 1) / block, m.place, m.team);
            const int first = begin * block, last = std::min(stage.width, end * block);
            if (stage.kind == StageKind::Elementwise && last > first) run_elementwise(prepared[i], 0, rows, first, last);
            else if (stage.kind != StageKind::Elementwise && m.place == 0) run_by_row(m, stage, 0, rows);
            ++i;
        }
        if (keeps && columns.waits[i - 1] && columns.begins[i % list.size()]) arrive(m);
        else if (!keeps || columns.waits[i - 1]) meet(m);
    }
}

}  // namespace steploom::STEPLOOM_ISA
