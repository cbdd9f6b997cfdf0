// Runs the stages of a step or of a chunk.
#pragma once

#include "call.hpp"

namespace steploom::STEPLOOM_ISA {

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
                        expand_row(tile[0].data + i * tile[0].row, tile[1].data + i * tile[1].row, j, columns, op.group);
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

}  // namespace steploom::STEPLOOM_ISA
