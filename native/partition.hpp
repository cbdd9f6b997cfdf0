// Which sequences each slice runs, and where its steps lie in the slice's compact rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace steploom {

struct Slice {
    std::vector<std::int64_t> rows;    // sequences of the batch, longest first
    std::vector<std::int64_t> lengths; // of those rows
    std::vector<std::int64_t> active;  // how many rows run at each step: a prefix of `rows`
    std::vector<std::int64_t> offset;  // compact row at which each step begins; time + 1 values
    bool uniform = true;               // every row runs at every step, and rows are neighbours in the batch
    std::int64_t saved_rows() const { return offset.back() + static_cast<std::int64_t>(rows.size()); }
};

// Sequences ordered by length make the active rows of a step a prefix: no row is computed for nothing. They are dealt
// out in turn, so that the slices have equal work.
inline std::vector<Slice> partition(std::int64_t time, std::int64_t batch, const std::int64_t* lengths, int slices) {
    std::vector<Slice> parts(slices);
    if (!lengths) {
        for (int s = 0; s < slices; ++s) {
            const std::int64_t first = batch * s / slices, last = batch * (s + 1) / slices;
            Slice& part = parts[s];
            part.rows.resize(last - first);
            std::iota(part.rows.begin(), part.rows.end(), first);
            part.lengths.assign(last - first, time);
            part.active.assign(time, last - first);
            part.offset.resize(time + 1);
            for (std::int64_t t = 0; t <= time; ++t) part.offset[t] = t * (last - first);
        }
        return parts;
    }
    std::vector<std::int64_t> order(batch);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return lengths[a] > lengths[b]; });
    for (std::int64_t i = 0; i < batch; ++i) {
        Slice& part = parts[i % slices];
        part.rows.push_back(order[i]);
        part.lengths.push_back(lengths[order[i]]);
    }
    for (Slice& part : parts) {
        part.uniform = false;
        part.active.resize(time);
        part.offset.assign(time + 1, 0);
        std::int64_t running = static_cast<std::int64_t>(part.rows.size());
        for (std::int64_t t = 0; t < time; ++t) {
            while (running > 0 && part.lengths[running - 1] <= t) --running;
            part.active[t] = running;
            part.offset[t + 1] = part.offset[t] + running;
        }
    }
    return parts;
}

}  // namespace steploom
