// Runs the layers of a network one step at a time, on states and packed weights that it keeps.
//
// Everything but the step itself is done once: the layout, the packing, and for each of the two places that a state
// alternates between, where every buffer is.
#pragma once

#include <memory>
#include <vector>

#include "run.hpp"

namespace steploom::STEPLOOM_ISA {

// One layer: a run of one step whose members are placed beforehand.
template <class T> class StreamLayer : Run<T> {
  public:
    StreamLayer(const StreamLayerSpec& spec, Index batch, int team, Digits digits) : Run<T>(spec.schedule, call_, digits), residual_(spec.residual) {
        call_.time = 1;
        call_.batch = batch;
        call_.team = team;
        call_.matrices = spec.matrices;
        call_.vectors = spec.vectors;
        // The width tells whether rows are used where they stand; the data are given at each step.
        call_.sequences.resize(2);
        for (const BufferSpec& buffer : this->s.buffers) {
            if (buffer.kind == Kind::Input) x_width_ = buffer.width;
            if (buffer.kind == Kind::Output) y_width_ = buffer.width;
        }
        call_.sequences[0].batch_stride = x_width_;
        call_.sequences[1].batch_stride = y_width_;
        this->layout();
        this->pack_share(0, 1);
        const SliceState<T>& slice = this->slices[0];
        std::size_t states = 0;
        for (std::size_t b = 0; b < this->s.buffers.size(); ++b) {
            const BufferSpec& buffer = this->s.buffers[b];
            const int at = static_cast<int>(b);
            if (buffer.kind == Kind::Input) (slice.direct[b] ? inputs_ : copied_inputs_).push_back(at);
            if (buffer.kind == Kind::Output) (slice.direct[b] ? outputs_ : copied_outputs_).push_back(at);
            if (buffer.kind == Kind::State) states = std::max<std::size_t>(states, buffer.external + 1);
        }
        states_.resize(states);
        for (std::size_t b = 0; b < this->s.buffers.size(); ++b)
            if (this->s.buffers[b].kind == Kind::State) {
                const Index rows = batch * slice.row[b];
                std::fill(slice.base[b], slice.base[b] + 2 * rows, T(0));
                states_[this->s.buffers[b].external] = {slice.base[b], slice.row[b], this->s.buffers[b].width};
            }
        for (int parity = 0; parity < 2; ++parity) {
            placed_[parity] = this->members;
            for (Member<T>& m : placed_[parity]) {
                this->place(m, parity, parity);
                for (auto* list : {&m.before, &m.step, &m.after})
                    for (PreparedStage<T>& stage : *list) settle(m, stage);
            }
        }
    }

    int x_width() const { return x_width_; }
    int y_width() const { return y_width_; }
    const std::vector<StreamState>& states() const { return states_; }

    // Each thread of the team calls this. x and y: (batch, width), contiguous.
    void step(int thread, int parity, const T* x, T* y) {
        Member<T>& m = placed_[parity][thread];
        T* in = const_cast<T*>(x);
        for (int b : inputs_) m.now[b] = in;
        for (int b : outputs_) m.now[b] = y;
        const Index batch = call_.batch;
        if (!copied_inputs_.empty()) {
            if (thread == 0)
                for (int b : copied_inputs_)
                    for (Index r = 0; r < batch; ++r) this->copy_row(m.now[b] + r * m.slice->row[b], x + r * x_width_, x_width_);
            this->team_barrier->wait(m.place);
        }
        this->stages(m, this->s.before, m.before, batch);
        this->stages(m, this->s.step, m.step, batch);
        if (this->columns.open_end() || m.arrived) this->meet(m);
        this->stages(m, this->s.after, m.after, batch);
        if (thread == 0) {
            for (int b : copied_outputs_)
                for (Index r = 0; r < batch; ++r) this->copy_row(y + r * y_width_, m.now[b] + r * m.slice->row[b], y_width_);
            if (residual_)
                for (Index i = 0; i < batch * y_width_; ++i) y[i] += x[i];
        }
        if (!copied_outputs_.empty() || residual_) this->team_barrier->wait(m.place);
    }

  private:
    Call call_;
    bool residual_;
    int x_width_ = 0, y_width_ = 0;
    std::vector<int> inputs_, outputs_, copied_inputs_, copied_outputs_;
    std::vector<StreamState> states_;
    std::vector<Member<T>> placed_[2];

    // What stands still is pointed at once; x and y alone are left to be pointed at in each step.
    void settle(Member<T>& m, PreparedStage<T>& stage) {
        std::vector<Moving> moving;
        for (const Moving& at : stage.moving) {
            const Kind kind = this->s.buffers[at.buffer].kind;
            if ((kind == Kind::Input || kind == Kind::Output) && m.slice->direct[at.buffer]) moving.push_back(at);
            else stage.ops[at.op].tile[at.slot].data = (at.out ? m.out[at.buffer] : m.now[at.buffer]) + at.column;
        }
        stage.moving = std::move(moving);
    }
};

template <class T> class Streamer final : public Stream {
  public:
    Streamer(const std::vector<StreamLayerSpec>& specs, Index batch, int team, Digits digits) : batch_(batch), team_(team), between_(specs.size()) {
        for (std::size_t i = 0; i < specs.size(); ++i) {
            layers_.push_back(std::make_unique<StreamLayer<T>>(specs[i], batch, team, digits));
            if (i + 1 < specs.size()) between_[i].resize(batch * layers_.back()->y_width());
        }
    }

    void push(const void* x, void* y) override {
        x_ = static_cast<const T*>(x);
        y_ = static_cast<T*>(y);
        if (team_ == 1) run(0);
        else on_threads(team_, [this](int thread) { run(thread); });
        parity_ ^= 1;
    }

    void read_state(int layer, int state, void* to) const override {
        const StreamState& at = layers_[layer]->states()[state];
        for (Index r = 0; r < batch_; ++r) {
            const T* from = row(at, r);
            std::copy(from, from + at.width, static_cast<T*>(to) + r * at.width);
        }
    }

    void write_state(int layer, int state, const void* from, const std::uint8_t* mask) override {
        const StreamState& at = layers_[layer]->states()[state];
        for (Index r = 0; r < batch_; ++r) {
            if (mask && !mask[r]) continue;
            const T* values = static_cast<const T*>(from) + r * at.width;
            std::copy(values, values + at.width, row(at, r));
        }
    }

  private:
    const Index batch_;
    const int team_;
    int parity_ = 0;  // which of its two places a state enters the next step from
    const T* x_ = nullptr;
    T* y_ = nullptr;
    std::vector<std::unique_ptr<StreamLayer<T>>> layers_;
    std::vector<std::vector<T>> between_;

    T* row(const StreamState& at, Index r) const { return static_cast<T*>(at.data) + (parity_ * batch_ + r) * at.row; }

    void run(int thread) {
        FlushDenormals flush;
        const T* x = x_;
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            T* y = i + 1 < layers_.size() ? between_[i].data() : y_;
            layers_[i]->step(thread, parity_, x, y);
            x = y;
        }
    }
};

template <class T, Digits digits = Digits::None>
std::unique_ptr<Stream> make_stream(const std::vector<StreamLayerSpec>& layers, Index batch, int team) {
    return std::make_unique<Streamer<T>>(layers, batch, team, digits);
}

}  // namespace steploom::STEPLOOM_ISA
