// Which panels of a product a member of a team makes, when the team has to wait, and what a member begins before that.
//
// Where each member keeps to the same columns in all stages of a step, it goes on after a product with what it made there
// itself: only a product reads what others made.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "schedule.hpp"

namespace steploom {

// The panels [first, last), and the same again `apart` further, `times` times in all.
struct Panels {
    int first, last, apart = 0, times = 1;
    int count() const { return (last - first) * times; }
};

// What all stages of a step have in common: each is as wide as `width`, or a product as wide as several of it. Width 0:
// they have nothing in common.
struct Columns {
    int width = 0;
    std::vector<char> waits;    // whether the team waits after a stage
    std::vector<char> begins;   // whether a member may begin a stage, a product, before the others are where it is
    std::vector<char> written;  // of each buffer: whether the steps write it

    // Whether a product waits for those columns of what it reads that others make.
    bool made_in_steps(const Operand& left) const { return is_buffer(left) && written[static_cast<std::size_t>(left.index)]; }
    // Whether the team goes on from step to step without waiting, and has to do so after the last one.
    bool open_end() const { return !waits.empty() && !waits.back(); }
};

inline std::pair<int, int> share_of(int all, int place, int team) { return {all * place / team, all * (place + 1) / team}; }

// Whether a stage has each of its columns from the same columns of others, or as a product from all columns.
inline bool keeps_columns(const Stage& stage, int width) {
    const auto fits = [&](const Operand& o) {
        return !is_buffer(o) || (o.column % width == 0 && !o.group);
    };
    if (stage.kind == StageKind::Product) return stage.width % width == 0 && fits(stage.out) && fits(stage.init);
    if (stage.kind != StageKind::Elementwise || stage.width != width) return false;
    return std::all_of(stage.ops.begin(), stage.ops.end(), [&](const ElementOp& op) {
        return op.code != Opcode::expand && fits(op.out) && fits(op.in[0]) && fits(op.in[1]) && fits(op.in[2]);
    });
}

// Whether the stages between a product and the next one write what a slower member may still read for the first. All
// stages are products or elementwise.
inline bool overtakes(const Schedule& s, std::size_t product) {
    const std::size_t count = s.step.size();
    const auto same_place = [&](const Operand& left, const Operand& out, bool next_step) {
        if (!is_buffer(out) || out.index != left.index) return false;
        if (!next_step) return out.where == left.where;
        const BufferSpec& buffer = s.buffers[out.index];  // other kinds have a place for each step
        return buffer.kind == Kind::Step || (buffer.kind == Kind::State && buffer.saved < 0);
    };
    for (std::size_t i = product + 1; s.step[i % count].kind != StageKind::Product; ++i)
        for (const ElementOp& op : s.step[i % count].ops)
            for (const Term& term : s.step[product].terms)
                if (same_place(term.left, op.out, i >= count)) return true;
    return false;
}

// Of each buffer, whether the steps write it.
inline std::vector<char> written_in_steps(const Schedule& s) {
    std::vector<char> written(s.buffers.size(), 0);
    const auto note = [&](const Operand& out) {
        if (is_buffer(out)) written[static_cast<std::size_t>(out.index)] = 1;
    };
    for (const Stage& stage : s.step) {
        note(stage.out);
        for (const ElementOp& op : stage.ops) note(op.out);
    }
    return written;
}

// Whether a member may begin a product with the columns of its left sides that it made itself, while others still make
// theirs: if no product reads what it writes then, and the sum is not cut into too many pieces.
inline bool begins_early(const Schedule& s, const Stage& product, const Columns& columns) {
    if (product.kind != StageKind::Product) return false;
    for (const Stage& stage : s.step)
        for (const Term& term : stage.terms)
            if (is_buffer(term.left) && term.left.index == product.out.index) return false;
    int pieces = 0;
    bool waits = false;
    for (std::size_t i = 0; i < product.terms.size(); ++i) {
        const Operand& left = product.terms[i].left;
        const bool made = columns.made_in_steps(left);
        waits |= made;
        if (made && (product.inners[i] % columns.width || left.column % columns.width)) return false;
        pieces += made ? product.inners[i] / columns.width + 1 : 1;
    }
    return waits && pieces <= most_terms;
}

// For panels of `panel` columns. Where members that keep to their columns would have much more to do than others, it is
// better to wait.
inline Columns keep_columns(const Schedule& s, int panel, int team) {
    const auto elementwise = [](const Stage& stage) { return stage.kind == StageKind::Elementwise; };
    const auto one = std::find_if(s.step.begin(), s.step.end(), elementwise);
    if (one == s.step.end() || one->width % panel) return {};
    Columns columns{one->width, {}, {}, written_in_steps(s)};
    for (const Stage& stage : s.step) {
        if (!keeps_columns(stage, columns.width)) return {};
        const int panels = columns.width / panel, times = stage.width / columns.width;
        const int most = (panels + team - 1) / team * times, equal = (panels * times + team - 1) / team;
        if (4 * most > 5 * equal) return {};
    }
    const std::size_t count = s.step.size();
    for (std::size_t i = 0; i < count; ++i) {
        const bool before_product = s.step[(i + 1) % count].kind == StageKind::Product;
        columns.begins.push_back(begins_early(s, s.step[i], columns));
        columns.waits.push_back(before_product || (s.step[i].kind == StageKind::Product && overtakes(s, i)));
    }
    return columns;
}

}  // namespace steploom
