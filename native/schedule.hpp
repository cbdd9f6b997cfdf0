// What the core runs: a loop over time as a list of stages on buffers, and one call's arrays. Plain data, no Python.
//
// A schedule serves the forward pass (time ascending) and the backward pass (time descending) alike. Three lists of
// stages: `before` and `after` run on a chunk of steps at once (many rows), `step` runs once a step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kept_weights.hpp"
#include "opcodes.hpp"

namespace steploom {

// Where the rows of a buffer live. "Rows" are the sequences of one slice of the batch.
enum class Kind : int {
    Input,   // a sequence of the caller's, read: (time, batch, width)
    Output,  // a sequence of the caller's, written
    Saved,   // kept from the forward to the backward pass, all steps
    Chunk,   // the steps of one chunk
    Step,    // one step
    State,   // carried from step to step; operand "out" is what the step leaves, "in" what it found
};

struct BufferSpec {
    Kind kind;
    int width;     // features
    int external;  // Input, Output: which sequence of the call; Saved: which saved region; State: which state
    int saved;     // State: the saved region that holds all its steps, or -1
};

enum class Where : int { None, Buffer, StateOut, Vector, Constant, Register };

struct Operand {
    Where where = Where::None;
    int index = 0;       // of the buffer, vector, constant or register
    int column = 0;      // first column in the buffer or vector
    int group = 0;       // input of an elementwise instruction: so many columns share each value; 0: each has its own
};

inline bool is_buffer(const Operand& o) { return o.where == Where::Buffer || o.where == Where::StateOut; }

struct ElementOp {
    Opcode code;
    Operand out, in[3];
};

// Of one product stage, also of the pieces into which a member of a team cuts its sum; kernels keep them on the stack.
constexpr int most_terms = 8;

struct Term {
    Operand left;    // rows of width K
    int matrix;      // of the call: M (columns made, K)
};

// On groups of neighbouring columns: Sum, Max. Dot: the sum of the products of two inputs. Moments: the means of all
// groups, then 1 / sqrt(variance + epsilon) of all groups. Standardize (columns, their moments): mean 0 and variance 1.
// StandardizeGrad (gradient, vector it is first multiplied with or none, standardized columns, moments): the gradient of
// the columns. Gather: columns of the input in another order. Matmul: products of the matrices that two inputs hold.
// Along each group, with an index that counts from its first column: Argsort: the indices in order. TakeAlong (columns,
// index): the columns that the index names. PutAlong (index, values): the values where it names them.
enum class StageKind : int {
    Product, Elementwise, Sum, Max, Dot, Moments, Standardize, StandardizeGrad, Gather, Matmul, Argsort, TakeAlong, PutAlong
};

// (n, k) by (k, m); a transposed one lies there as (k, n), or as (m, k). Not both are.
struct MatmulSizes {
    int n = 0, k = 0, m = 0;
    bool left_transposed = false, right_transposed = false;
};

// Columns that a gather writes side by side: `count` from `first` on, each `step` after the one before; 0 where first is -1.
struct Stretch {
    int first, count, step;
};

// Of each group: its columns and the indices that belong to it.
struct AlongSizes {
    int n = 0, count = 0;
    bool descending = false;  // Argsort
    bool last = false;        // PutAlong: of several values put to one place the last stays, not their sum
};

struct Stage {
    StageKind kind;
    int width = 0;                // Product, Gather, Matmul, along groups: columns made; Elementwise: columns; on groups: columns of the first input
    std::vector<Term> terms;      // Product: out = init + sum of left @ M.T
    std::vector<int> inners;      // Product: K of each term
    Operand init;                 // Product: what it is added to (None: zero)
    Operand out;                  // all but Elementwise
    Operand in[4];                // on groups; Gather, Argsort: the first; Matmul, TakeAlong, PutAlong: the first two
    int groups = 1;               // on and along groups: of how many; Matmul: pairs of matrices
    double epsilon = 0;           // Moments
    std::vector<Stretch> stretches;  // Gather
    MatmulSizes matmul;           // Matmul
    AlongSizes along;             // Argsort, TakeAlong, PutAlong
    std::vector<ElementOp> ops;   // Elementwise
};

// dM[n, k] += sum over rows of grad[:, n] * left[:, k]. `fresh`: nothing stands there before the call, and nothing else is
// added there.
struct WeightGradient {
    int matrix;
    Operand grad, left;
    int n, k;
    bool fresh = false;
};

// dv[n] += sum over rows of value[:, n], or of value[:, n] * by[:, n]
struct VectorGradient {
    int vector;
    int column;
    Operand value, by;
    int width;
    bool fresh = false;
};

// A matrix or a vector of the call within one of the tensors that hold the weights, all of them contiguous. In elements.
struct LeafView {
    int leaf;
    std::int64_t start, row_stride, column_stride;
};

struct Schedule {
    bool descending = false;
    std::vector<BufferSpec> buffers;
    std::vector<int> saved_widths;
    std::vector<double> constants;
    std::vector<int> vector_widths;
    std::vector<std::vector<int>> vector_parts;  // each vector is the sum of these vectors of the call
    int registers = 0;
    int states = 0;
    std::vector<Stage> before, step, after;
    std::vector<WeightGradient> weight_gradients;
    std::vector<VectorGradient> vector_gradients;
    std::vector<LeafView> matrices, vectors;
    std::vector<int> gradient_leaves;  // the leaf of each gradient of vectors
};

struct Sequence {
    void* data = nullptr;
    std::int64_t time_stride = 0, batch_stride = 0;  // in elements; features stand side by side
};

struct MatrixView {
    void* data = nullptr;
    std::int64_t row_stride = 0, column_stride = 0;
    void* gradient = nullptr;  // its strides follow; null where none is wanted
    std::int64_t gradient_row_stride = 0, gradient_column_stride = 0;
};

struct Call {
    std::int64_t time = 0, batch = 0;
    const std::int64_t* lengths = nullptr;  // (batch,)
    bool reversed = false;
    const std::uint8_t* resets = nullptr;   // (time, batch), contiguous
    std::vector<Sequence> sequences;
    std::vector<void*> state_in;     // (batch, width) contiguous; null: zeros
    std::vector<void*> state_out;    // (batch, width) contiguous; null: not wanted
    std::vector<void*> state_reset;  // forward: what a reset sets the state to; backward: gradient of it, added to
    std::vector<MatrixView> matrices;
    std::vector<void*> vectors;
    std::vector<void*> vector_gradients;
    bool adds = false;  // to the gradients of matrices and vectors that stand there, also to those that a pass writes whole
    KeptWeights* kept_weights = nullptr;
    void* saved = nullptr;
    int slices = 1, team = 1;
    bool (*interrupted)() = nullptr;
};

// One layer of a stream. `schedule` must outlive the stream; matrices and vectors are read while it is made.
struct StreamLayerSpec {
    const Schedule& schedule;
    std::vector<MatrixView> matrices;
    std::vector<void*> vectors;
    bool residual;
};

// The two places (2, batch, row) that a state alternates between.
struct StreamState {
    void* data;
    std::int64_t row;
    int width;
};

// Layers that keep their states from step to step. One thread at a time.
class Stream {
  public:
    virtual ~Stream() = default;
    // x: (batch, width of the first layer's input), y: (batch, width of the last layer's output), both contiguous.
    virtual void push(const void* x, void* y) = 0;
    // (batch, width), contiguous.
    virtual void read_state(int layer, int state, void* to) const = 0;
    // Rows whose mask is 0 stay as they are; null: all are written.
    virtual void write_state(int layer, int state, const void* from, const std::uint8_t* mask) = 0;
};

using MakeStream = std::unique_ptr<Stream>(const std::vector<StreamLayerSpec>& layers, std::int64_t batch, int team);

struct Kernels {
    const char* name;
    // False: interrupted.
    bool (*run_f32)(const Schedule&, const Call&);
    bool (*run_f64)(const Schedule&, const Call&);
    MakeStream *stream_f32, *stream_f64;
};

// In order of preference for this processor; each can be asked for by name. "amx" by name uses tiles for all products;
// no name, for those that gain by it.
const Kernels& kernels_named(const std::string& name);  // empty: the fastest for each product; std::invalid_argument where there is none
std::vector<std::string> kernel_names();

// Elements that all saved regions take in a call of this shape.
std::int64_t saved_elements(const std::vector<int>& widths, std::int64_t time, std::int64_t batch,
                            const std::int64_t* lengths, int slices);

// Elements up to the next multiple of 16, so that what follows begins on a line of the cache.
inline std::int64_t padded(std::int64_t elements) { return (elements + 15) / 16 * 16; }

// Distance between rows, in elements. Strides of a multiple of 512 bytes would make the columns of a tile collide in
// the first-level cache.
inline std::int64_t row_stride(std::int64_t width) {
    const std::int64_t stride = padded(width);
    return stride % 128 == 0 ? stride + 16 : stride;
}

}  // namespace steploom
