// Runs a schedule over a batch of sequences.
//
// Each slice of the batch has its own rows and runs whole sequences of them; where there is one slice, all threads work
// on it as a team and wait for each other where one reads what others made. Time is cut into chunks: what does not need
// the state runs over all rows of a chunk before or after its steps.
//
// This file says what a run consists of; the files it is made of are layout, places, stages, gradients and run.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "along.hpp"
#include "columns.hpp"
#include "digits.hpp"
#include "elementwise.hpp"
#include "groups.hpp"
#include "matrices.hpp"
#include "memory.hpp"
#include "outer.hpp"
#include "partition.hpp"
#include "product.hpp"
#include "schedule.hpp"
#include "team.hpp"

namespace steploom::STEPLOOM_ISA {

using Index = std::int64_t;

// Whether products of this type can be made of digits, on tiles: the build for AVX-512 holds them.
#if defined(__AVX512F__)
template <class T> constexpr bool has_digits = sizeof(T) == 4;
static_assert(panel_columns<float> == digit_panel_columns);
#else
template <class T> constexpr bool has_digits = false;
#endif

template <class T> struct Packed {
    int matrix;
    int columns, inner;
    bool digits;
    const Term* input;  // of digits: what multiplies an input of the caller's with it, if anything does
    T* panels;
    T *up, *down;       // where there is an input: factors of the weights and of the input, see `balance`
    int count() const { return (columns + panel_columns<T> - 1) / panel_columns<T>; }
    Index panel_size() const { return digits ? digit_panel_size(inner) : Index{panel_columns<T>} * inner; }
};

// Which products are made of digits: none, those that gain by it, or all.
enum class Digits { None, Large, All };

// What is smaller the vectors make as fast, at the latest where a neighbour on the same core wants the tiles too. Rows of a
// call, whose weights have to be packed once; height of the tiles in a step; width and inner size of a product; rows that a
// gradient is summed over, and n k / (n + k) of it, the work by what is read.
constexpr Index least_digit_rows = 192, least_tile_height = 13, least_summed_digits = 128, least_digit_gradient = 64;
constexpr Index sampled_rows = 256;  // of an input
constexpr int least_digit_width = 64, least_digit_inner = 64;

template <class T> struct PreparedOp {
    Opcode code;
    Tile<T> tile[4];           // out, inputs
    bool moves_row[4], moves_column[4], is_register[4];
    int group;        // expand: columns that get a value
    int shared[4];    // columns that share a value of an input read in place; 0: each has its own
    bool shares;      // whether any input is such
};

// Where a gradient is summed up.
template <class T> struct SumPlace {
    T* data;
    Index row_stride, column_stride;
};

// A gradient's sums of all threads but the first, which has the place of the gradient itself.
template <class T> struct OwnSum {
    T* data = nullptr;
    Index size = 0, row_stride = 0, column_stride = 0;
    SumPlace<T> of(int thread) const { return {data + (thread - 1) * size, row_stride, column_stride}; }
};

struct Share {
    int place, count;
};

struct Moving {
    int op, slot, buffer, column;
    bool out;
};

template <class T> struct PreparedStage {
    std::vector<PreparedOp<T>> ops;
    std::vector<Moving> moving;
    std::vector<int> groups;  // of inputs whose values columns share: a tile lies within one group of each
};

template <class T> struct SliceState {
    const Slice* part = nullptr;
    std::vector<T*> base;       // of each buffer
    std::vector<Index> row;     // distance between its rows
    std::vector<char> direct;   // Input, Output: used where the caller's data stand
};

// Memory for many arrays, taken in one piece once all of them are known.
template <class T> class Reservation {
  public:
    // `array` points to the memory once it is taken, and has to stay where it is until then.
    void add(T*& array, Index count) {
        wanted_.emplace_back(&array, elements_);
        elements_ += static_cast<std::size_t>(padded(count));
    }
    std::unique_ptr<Workspace> take() {
        auto space = std::make_unique<Workspace>(elements_ * sizeof(T));
        lie_in(*space);
        return space;
    }
    // Memory that the same arrays have taken before.
    void lie_in(const Workspace& space) {
        for (const auto& [array, at] : wanted_) *array = space.template at<T>(at);
    }

  private:
    std::size_t elements_ = 0;
    std::vector<std::pair<T**, std::size_t>> wanted_;
};

// What one thread needs beside its slice: where the buffers are at the present step.
template <class T> struct Member {
    SliceState<T>* slice = nullptr;
    int place = 0, team = 1;
    std::vector<T*> now, out;  // now: "in" for states
    std::vector<PreparedStage<T>> before, step, after;
    T* registers = nullptr;
    T* outer = nullptr;  // space for sums of outer products
    bool arrived = false;  // at the team's barrier, while it does what needs no other member; in that round
    unsigned round = 0;
    Ahead ahead;
};

// Which columns of the left sides a product sums over: all, those that wait for nobody since the member made them itself or
// no step makes them, or those that were left then.
enum class Sums { All, Own, Rest };

template <class T> class Run {
  public:
    Run(const Schedule& schedule, const Call& call, Digits made_of) : s(schedule), c(call), digits(has_digits<T> ? made_of : Digits::None) {}
    bool operator()();

  protected:
    const Schedule& s;
    const Call& c;
    const Digits digits;
    std::vector<Slice> parts;
    std::vector<SliceState<T>> slices;
    std::vector<Member<T>> members;
    std::vector<Packed<T>> packed;
    std::vector<int> packed_at;      // of each matrix of the call; -1: no product reads it
    bool packs = true;               // whether the weights have yet to be packed
    std::vector<Member<T>> readers;  // one a thread: places in any slice, for the gradients
    bool shared_gradients = false;   // whether two gradients add to the same memory
    bool own_sums = false;           // whether each thread sums up the gradients over the rows of its own slice
    std::vector<OwnSum<T>> weight_sums, vector_sums;
    std::vector<char> summed_in_steps;  // of each gradient of a vector: whether a thread sums it up at each step of its slice
    std::vector<T*> vectors, constants;
    std::vector<char> in_chunk;  // whether a buffer is used by `before`, `after` or a gradient
    std::unique_ptr<Workspace> space, packed_space;
    std::unique_ptr<Barrier> team_barrier, all_barrier;
    Columns columns;  // of the members of a team
    Index chunk_steps = 1, chunk_rows = 1;
    int threads = 1;

    const Packed<T>& packed_of(int matrix) const { return packed[packed_at[matrix]]; }
    Index source_time(const Slice& part, Index row, Index t) const { return c.reversed ? part.lengths[row] - 1 - t : t; }
    bool reset_at(const Slice& part, Index row, Index t) const {
        const Index at = c.reversed ? part.lengths[row] - t : t;
        return (!c.reversed || t > 0) && c.resets[at * c.batch + part.rows[row]];
    }
    // Whether each member of the team keeps to its columns in a step of so many rows.
    bool keeps(const Member<T>& m, Index rows) const { return columns.width && !by_row(m, rows); }
    // Whether the members share what stands between two products by its rows.
    static bool by_row(const Member<T>& m, Index rows) { return m.team == 1 || rows >= 4 * m.team; }
    // The panels of a product that a member of a team makes.
    Panels own_panels(const Member<T>& m, const Stage& product, bool keeps) const {
        constexpr int P = panel_columns<T>;
        const auto [first, last] = share_of((keeps ? columns.width : product.width + P - 1) / P, m.place, m.team);
        return keeps ? Panels{first, last, columns.width / P, product.width / columns.width} : Panels{first, last};
    }
    // Rows of a step at the most.
    Index step_rows() const {
        Index rows = 0;
        for (const Slice& part : parts) rows = std::max(rows, static_cast<Index>(part.rows.size()));
        return rows;
    }
    // Whether products outside the steps are made of digits, and those in the steps.
    bool digits_in_chunks() const { return digits == Digits::All || (digits == Digits::Large && c.time * step_rows() >= least_digit_rows); }
    bool digits_in_steps() const { return digits_in_chunks() && (digits == Digits::All || digit_tile_height(step_rows()) >= least_tile_height); }
    bool digits_of(int width, int inner) const {
        return inner > 0 && (digits == Digits::All || (width >= least_digit_width && inner >= least_digit_inner));
    }
    bool digits_of_gradient(Index rows, int n, int k) const {
        const bool large = rows >= least_summed_digits && Index{n} * k >= least_digit_gradient * (n + k);
        return rows > 0 && n > 0 && (digits == Digits::All || (digits == Digits::Large && large));
    }
    // Calls with weights laid out alike can read the same. There are no digits in steps without those in chunks.
    int layout_of_weights() const { return digits_in_chunks() + digits_in_steps(); }
    bool direct(const Slice& part, int buffer) const;
    void layout();
    void find_chunk_buffers();
    void find_matrices();
    void place_weights();
    void balance_inputs();
    void choose_chunks();
    void find_shared_gradients();
    void choose_sums();
    void place_buffers(Reservation<T>& memory);
    void place_saved();
    void fill_constants();
    void make_members();
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
    void meet(Member<T>& m) const;
    void arrive(Member<T>& m) const;
    void await_others(Member<T>& m) const;
    void run_product(const Member<T>& m, const Stage& stage, Index rows, Panels panels, bool far, Ahead* ahead, Sums sums = Sums::All) const;
    void point(const Member<T>& m, PreparedStage<T>& prepared) const;
    void run_elementwise(const PreparedStage<T>& prepared, Index row, Index rows, int first, int last) const;
    void run_rows(const Member<T>& m, const std::vector<Stage>& list, const std::vector<PreparedStage<T>>& prepared,
                  std::size_t first, std::size_t last, Index row, Index rows) const;
    void run_by_row(const Member<T>& m, const Stage& stage, Index row, Index rows) const;
    void chunk(Member<T>& m, Index first, Index last) const;
    void gradients(int thread, Index first, Index last, bool begins);
    void weight_gradient(const WeightGradient& g, const Member<T>& at, Index rows, SumPlace<T> to, Share share, bool add, SumsOfLeft<T>& sums);
    void vector_gradient(const VectorGradient& g, const Member<T>& at, Index first, Index last, T* to, Share share, bool add) const;
    void choose_summed_in_steps();
    void clear_sums_of_steps(int thread);
    void sum_step(const Member<T>& m, Index rows) const;
    SumPlace<T> sum_of(std::size_t vector_gradient, int thread) const;
    void join_sums(int thread) const;
    static SumPlace<T> place_of(const MatrixView& m) {
        return {static_cast<T*>(m.gradient), m.gradient_row_stride, m.gradient_column_stride};
    }
    void copy_row(T* to, const T* from, int width) const { std::copy(from, from + width, to); }
};

}  // namespace steploom::STEPLOOM_ISA
