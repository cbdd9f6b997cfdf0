// Which columns a member of a team makes, and when the team has to wait.
//
// Where each member keeps to the same units in all stages of a step, what it makes in a product is what it goes on with
// afterwards: only a product reads what others made.
#pragma once

#include <utility>
#include <vector>

#include "schedule.hpp"

namespace steploom {

struct Columns {
    int unit = 0;             // all stages of a step are as wide as so many units or multiples of it; 0: they are not
    std::vector<char> waits;  // whether the team waits after a stage of a step

    // The units of a member.
    std::pair<int, int> own(int place, int team, int panel) const {
        const int panels = unit / panel;
        return {panels * place / team * panel, panels * (place + 1) / team * panel};
    }
};

// Whether a stage of a step has each of its columns from the columns of the same unit, or as a product from all columns.
inline bool keeps_units(const Stage& stage, int unit) {
    const auto fits = [&](const Operand& o) {
        return (o.where != Where::Buffer && o.where != Where::StateOut) || (o.column % unit == 0 && !o.group);
    };
    if (stage.kind == StageKind::Product) return stage.width % unit == 0 && fits(stage.out) && fits(stage.init);
    if (stage.kind != StageKind::Elementwise || stage.width != unit) return false;
    for (const ElementOp& op : stage.ops)
        if (op.code == Opcode::expand || !fits(op.out) || !fits(op.in[0]) || !fits(op.in[1]) || !fits(op.in[2])) return false;
    return true;
}

// Whether the stages between a product and the next one write what a slower member may still read for the first.
inline bool overtakes(const Schedule& s, std::size_t product) {
    const std::size_t count = s.step.size();
    const auto same_place = [&](const Operand& left, const Operand& out, bool next_step) {
        if ((out.where != Where::Buffer && out.where != Where::StateOut) || out.index != left.index) return false;
        if (!next_step) return out.where == left.where;
        const BufferSpec& buffer = s.buffers[out.index];  // other kinds have a place for each step
        return buffer.kind == Kind::Step || (buffer.kind == Kind::State && buffer.saved < 0);
    };
    for (std::size_t i = product + 1; s.step[i % count].kind == StageKind::Elementwise; ++i)
        for (const ElementOp& op : s.step[i % count].ops)
            for (const Term& term : s.step[product].terms)
                if (same_place(term.left, op.out, i >= count)) return true;
    return false;
}

// For panels of so many columns.
inline Columns keep_columns(const Schedule& s, int panel) {
    Columns columns;
    const std::size_t count = s.step.size();
    for (const Stage& stage : s.step)
        if (stage.kind == StageKind::Elementwise) columns.unit = stage.width;
    if (!columns.unit || columns.unit % panel) return {};
    for (std::size_t i = 0; i < count; ++i) {
        if (!keeps_units(s.step[i], columns.unit)) return {};
        const bool before_product = s.step[(i + 1) % count].kind == StageKind::Product;
        columns.waits.push_back(before_product || (s.step[i].kind == StageKind::Product && overtakes(s, i)));
    }
    return columns;
}

}  // namespace steploom
