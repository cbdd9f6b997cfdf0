"""The equations of each cell and their derivatives, written by hand in NumPy, and backpropagation through time.

A step is a pair of functions: `forward(p, x, *states)` gives the new states and what the backward step needs,
`backward(p, saved, *d_states)` gives the gradients of x, of the states, and of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Parameters = dict[str, Array]


class Step(NamedTuple):
    forward: Callable[..., tuple[tuple[Array, ...], Any]]
    backward: Callable[..., tuple[Array, tuple[Array, ...], Parameters]]


def logistic(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def rnn_step(activation: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Step:
    """`slope(a, h)` is the derivative of the activation at a, where it has the value h."""

    def forward(p, x, h):
        a = x @ p["input.weight"].T + p["input.bias"] + h @ p["recurrent.weight"].T + p["recurrent.bias"]
        new = activation(a)
        return (new,), (x, h, a, new)

    def backward(p, saved, d_new):
        x, h, a, new = saved
        d_a = d_new * slope(a, new)
        grads = {
            "input.weight": d_a.T @ x,
            "input.bias": d_a.sum(0),
            "recurrent.weight": d_a.T @ h,
            "recurrent.bias": d_a.sum(0),
        }
        return d_a @ p["input.weight"], (d_a @ p["recurrent.weight"],), grads

    return Step(forward, backward)


def lstm_forward(p, x, h, c):
    a = x @ p["input.weight"].T + p["input.bias"] + h @ p["recurrent.weight"].T + p["recurrent.bias"]
    n = h.shape[1]
    a_i, a_f, a_g, a_o = a[:, :n], a[:, n : 2 * n], a[:, 2 * n : 3 * n], a[:, 3 * n :]
    if "peephole_i" in p:
        a_i = a_i + p["peephole_i"] * c
        a_f = a_f + p["peephole_f"] * c
    i, f, g = logistic(a_i), logistic(a_f), np.tanh(a_g)
    new_c = f * c + i * g
    if "peephole_o" in p:
        a_o = a_o + p["peephole_o"] * new_c
    o = logistic(a_o)
    return (o * np.tanh(new_c), new_c), (x, h, c, i, f, g, o, new_c)


def lstm_backward(p, saved, d_h, d_c):
    x, h, c, i, f, g, o, new_c = saved
    squashed = np.tanh(new_c)
    d_ao = d_h * squashed * o * (1 - o)
    d_c = d_c + d_h * o * (1 - squashed**2)
    grads = {}
    if "peephole_o" in p:
        d_c = d_c + d_ao * p["peephole_o"]
        grads["peephole_o"] = (d_ao * new_c).sum(0)
    d_ai = d_c * g * i * (1 - i)
    d_af = d_c * c * f * (1 - f)
    d_ag = d_c * i * (1 - g**2)
    d_old = d_c * f
    if "peephole_i" in p:
        d_old = d_old + d_ai * p["peephole_i"] + d_af * p["peephole_f"]
        grads["peephole_i"] = (d_ai * c).sum(0)
        grads["peephole_f"] = (d_af * c).sum(0)
    d_a = np.concatenate([d_ai, d_af, d_ag, d_ao], 1)
    return product_gradients(p, d_a, x, h, d_old, grads)


def coupled_forward(p, x, h, c):
    a = x @ p["input.weight"].T + p["input.bias"] + h @ p["recurrent.weight"].T + p["recurrent.bias"]
    n = h.shape[1]
    a_f, a_g, a_o = a[:, :n], a[:, n : 2 * n], a[:, 2 * n :]
    if "peephole_f" in p:
        a_f = a_f + p["peephole_f"] * c
    f, g = logistic(a_f), np.tanh(a_g)
    new_c = f * c + (1 - f) * g
    if "peephole_o" in p:
        a_o = a_o + p["peephole_o"] * new_c
    o = logistic(a_o)
    return (o * np.tanh(new_c), new_c), (x, h, c, f, g, o, new_c)


def coupled_backward(p, saved, d_h, d_c):
    x, h, c, f, g, o, new_c = saved
    squashed = np.tanh(new_c)
    d_ao = d_h * squashed * o * (1 - o)
    d_c = d_c + d_h * o * (1 - squashed**2)
    grads = {}
    if "peephole_o" in p:
        d_c = d_c + d_ao * p["peephole_o"]
        grads["peephole_o"] = (d_ao * new_c).sum(0)
    d_af = d_c * (c - g) * f * (1 - f)
    d_ag = d_c * (1 - f) * (1 - g**2)
    d_old = d_c * f
    if "peephole_f" in p:
        d_old = d_old + d_af * p["peephole_f"]
        grads["peephole_f"] = (d_af * c).sum(0)
    return product_gradients(p, np.concatenate([d_af, d_ag, d_ao], 1), x, h, d_old, grads)


def product_gradients(p, d_a, x, h, d_old_c, grads):
    grads |= {
        "input.weight": d_a.T @ x,
        "input.bias": d_a.sum(0),
        "recurrent.weight": d_a.T @ h,
        "recurrent.bias": d_a.sum(0),
    }
    return d_a @ p["input.weight"], (d_a @ p["recurrent.weight"], d_old_c), grads


def projected_forward(p, x, h, c):
    a = x @ p["input.weight"].T + p["input.bias"] + h @ p["recurrent.weight"].T + p["recurrent.bias"]
    n = c.shape[1]
    i, f, g, o = logistic(a[:, :n]), logistic(a[:, n : 2 * n]), np.tanh(a[:, 2 * n : 3 * n]), logistic(a[:, 3 * n :])
    new_c = f * c + i * g
    m = o * np.tanh(new_c)
    return (m @ p["projection.weight"].T, new_c), ((x, h, c, i, f, g, o, new_c), m)


def projected_backward(p, saved, d_h, d_c):
    saved, m = saved
    d_x, d_states, grads = lstm_backward(p, saved, d_h @ p["projection.weight"], d_c)
    return d_x, d_states, grads | {"projection.weight": d_h.T @ m}


def gru_forward(p, x, h):
    n = h.shape[1]
    a_x = x @ p["input.weight"].T + p["input.bias"]
    a_h = h @ p["recurrent.weight"].T + p["recurrent.bias"]
    r = logistic(a_x[:, :n] + a_h[:, :n])
    z = logistic(a_x[:, n : 2 * n] + a_h[:, n : 2 * n])
    candidate = np.tanh(a_x[:, 2 * n :] + r * a_h[:, 2 * n :])
    return ((1 - z) * candidate + z * h,), (x, h, r, z, candidate, a_h[:, 2 * n :])


def gru_backward(p, saved, d_new):
    x, h, r, z, candidate, product = saved
    d_an = d_new * (1 - z) * (1 - candidate**2)
    d_az = d_new * (h - candidate) * z * (1 - z)
    d_ar = d_an * product * r * (1 - r)
    d_ax = np.concatenate([d_ar, d_az, d_an], 1)
    d_ah = np.concatenate([d_ar, d_az, d_an * r], 1)
    grads = {
        "input.weight": d_ax.T @ x,
        "input.bias": d_ax.sum(0),
        "recurrent.weight": d_ah.T @ h,
        "recurrent.bias": d_ah.sum(0),
    }
    return d_ax @ p["input.weight"], (d_new * z + d_ah @ p["recurrent.weight"],), grads


def reset_before_forward(p, x, h):
    n = h.shape[1]
    a_x = x @ p["input.weight"].T + p["input.bias"]
    a_h = h @ p["recurrent.weight"].T + p["recurrent.bias"]
    r, z = logistic(a_x[:, :n] + a_h[:, :n]), logistic(a_x[:, n : 2 * n] + a_h[:, n:])
    candidate = np.tanh(a_x[:, 2 * n :] + (r * h) @ p["candidate.weight"].T + p["candidate.bias"])
    return ((1 - z) * candidate + z * h,), (x, h, r, z, candidate)


def reset_before_backward(p, saved, d_new):
    x, h, r, z, candidate = saved
    d_an = d_new * (1 - z) * (1 - candidate**2)
    d_az = d_new * (h - candidate) * z * (1 - z)
    d_reset = d_an @ p["candidate.weight"]
    d_ar = d_reset * h * r * (1 - r)
    d_ax = np.concatenate([d_ar, d_az, d_an], 1)
    d_ah = np.concatenate([d_ar, d_az], 1)
    grads = {
        "input.weight": d_ax.T @ x,
        "input.bias": d_ax.sum(0),
        "recurrent.weight": d_ah.T @ h,
        "recurrent.bias": d_ah.sum(0),
        "candidate.weight": d_an.T @ (r * h),
        "candidate.bias": d_an.sum(0),
    }
    return d_ax @ p["input.weight"], (d_new * z + d_reset * r + d_ah @ p["recurrent.weight"],), grads


STEPS = {
    "rnn": rnn_step(np.tanh, lambda a, h: 1 - h**2),
    "rnn-relu": rnn_step(lambda a: np.maximum(a, 0), lambda a, h: (a > 0).astype(float)),
    "rnn-sigmoid": rnn_step(logistic, lambda a, h: h * (1 - h)),
    "rnn-identity": rnn_step(lambda a: a, lambda a, h: np.ones_like(a)),
    "rnn-atan": rnn_step(np.arctan, lambda a, h: 1 / (1 + a**2)),
    "lstm": Step(lstm_forward, lstm_backward),
    "lstm-peephole": Step(lstm_forward, lstm_backward),
    "lstm-coupled": Step(coupled_forward, coupled_backward),
    "lstm-coupled-peephole": Step(coupled_forward, coupled_backward),
    "lstm-projected": Step(projected_forward, projected_backward),
    "gru": Step(gru_forward, gru_backward),
    "gru-reset-before": Step(reset_before_forward, reset_before_backward),
}


def run(step: Step, p: Parameters, x: Array, states: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...], list[Any]]:
    """Outputs (time, batch, size), final states, and what each step saved."""
    outputs, saved = [], []
    for x_t in x:
        states, kept = step.forward(p, x_t, *states)
        outputs.append(states[0])
        saved.append(kept)
    return np.stack(outputs), states, saved


def backpropagate(
    step: Step, p: Parameters, saved: list[Any], d_y: Array, d_states: tuple[Array, ...]
) -> tuple[Array, tuple[Array, ...], Parameters]:
    """Gradients of x, the initial states and the parameters: each parameter's is the sum of the parts of all steps."""
    d_x, parts = [], []
    for kept, d_y_t in zip(reversed(saved), reversed(d_y), strict=True):
        d_x_t, d_states, grads = step.backward(p, kept, d_states[0] + d_y_t, *d_states[1:])
        d_x.append(d_x_t)
        parts.append(grads)
    return np.stack(d_x[::-1]), d_states, {name: sum(part[name] for part in parts) for name in p}
