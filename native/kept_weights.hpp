// Weights laid out for products, kept by a caller from one call to the next while the weights stay as they are: a long
// sequence that is run in segments packs them once.
#pragma once

#include <map>
#include <memory>

#include "memory.hpp"

namespace steploom {

struct Schedule;

// All calls are made with one build of the kernels and one type of numbers, and one at a time.
class KeptWeights {
  public:
    KeptWeights() = default;
    KeptWeights(const KeptWeights&) = delete;
    KeptWeights& operator=(const KeptWeights&) = delete;
    // The panels of one schedule; null until somebody has put them there.
    std::unique_ptr<Workspace>& of(const Schedule& schedule) { return panels_[&schedule]; }

  private:
    std::map<const Schedule*, std::unique_ptr<Workspace>> panels_;
};

}  // namespace steploom
