#pragma once

#include <string>
#include <vector>

namespace steploom {

// The vector instruction sets that both this processor and its operating system support, by the names that
// Linux gives them in /proc/cpuinfo, from the oldest to the newest. Empty on a processor that is neither x86 nor ARM.
std::vector<std::string> instruction_sets();

}  // namespace steploom
