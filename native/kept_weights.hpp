// Weights laid out for products, kept by a caller from one call to the next while the weights stay as they are: a long
// sequence that is run in segments packs them once.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "memory.hpp"

namespace steploom {

struct Schedule;

// All calls are made with one build of the kernels and one type of numbers, and one at a time. Schedules are told apart by
// their places, so they live at least as long as this.
class KeptWeights {
  public:
    KeptWeights() = default;
    KeptWeights(const KeptWeights&) = delete;
    KeptWeights& operator=(const KeptWeights&) = delete;
    // The panels of one schedule in one layout, or null where none were kept.
    const Workspace* of(const Schedule& schedule, int layout) const {
        const auto found = panels_.find({&schedule, layout});
        return found == panels_.end() ? nullptr : found->second.get();
    }
    // Panels that are complete: a call that fails before has left nothing to be taken for weights.
    void keep(const Schedule& schedule, int layout, std::unique_ptr<Workspace> panels) { panels_[{&schedule, layout}] = std::move(panels); }

  private:
    std::map<std::pair<const Schedule*, int>, std::unique_ptr<Workspace>> panels_;
};

}  // namespace steploom
