// Places in memory as Python says them: whole numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace steploom {

using Pointer = std::uintptr_t;
template <class T = void> T* pointer(Pointer p) { return reinterpret_cast<T*>(p); }

inline std::vector<void*> pointers(const std::vector<Pointer>& list) {
    std::vector<void*> out;
    for (Pointer p : list) out.push_back(pointer(p));
    return out;
}

}  // namespace steploom
