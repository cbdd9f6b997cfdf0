// The elementwise instructions, by the names that the table of primitives gives them.
#pragma once

#define STEPLOOM_OPCODES(X)                                                                                        \
    X(copy) X(neg) X(abs) X(sign) X(exp) X(log) X(sqrt) X(rsqrt) X(reciprocal) X(sigmoid) X(tanh) X(relu)           \
    X(softplus) X(sin) X(cos) X(erf) X(atan) X(log1p) X(expm1) X(floor) X(square) X(add) X(sub) X(mul) X(div) X(maximum)   \
    X(minimum) X(gt) X(ge) X(lt) X(le) X(eq) X(ne) X(sigmoid_grad) X(tanh_grad) X(relu_grad) X(where) X(fma) X(submul)    \
    X(pow) X(expand)

namespace steploom {

enum class Opcode : int {
#define X(NAME) NAME,
    STEPLOOM_OPCODES(X)
#undef X
};

constexpr const char* opcode_names[] = {
#define X(NAME) #NAME,
    STEPLOOM_OPCODES(X)
#undef X
};

}  // namespace steploom
