"""By hand, as `by_hand`: the layer-normalised cells, sLSTM, and the Mogrifier LSTM."""

from __future__ import annotations

import numpy as np

from tests.cells.by_hand import Step, logistic, lstm_backward, lstm_forward
from tests.cells.by_hand_few_gates import linear, linear_backward, split


def norm(p, name, a):
    """The normalised rows and what the backward step needs."""
    deviation = np.sqrt(a.var(1, keepdims=True) + 1e-5)
    unit = (a - a.mean(1, keepdims=True)) / deviation
    return p[f"{name}.weight"] * unit + p[f"{name}.bias"], (unit, deviation)


def norm_backward(p, name, saved, d):
    unit, deviation = saved
    d_unit = d * p[f"{name}.weight"]
    d_a = (d_unit - d_unit.mean(1, keepdims=True) - unit * (d_unit * unit).mean(1, keepdims=True)) / deviation
    return d_a, {f"{name}.weight": (d * unit).sum(0), f"{name}.bias": d.sum(0)}


def lstm_layernorm_forward(p, x, h, c):
    a_x, norm_x = norm(p, "input_norm", linear(p, "input", x))
    a_h, norm_h = norm(p, "recurrent_norm", linear(p, "recurrent", h))
    a_i, a_f, a_g, a_o = split(a_x + a_h, 4)
    i, f, g, o = logistic(a_i), logistic(a_f), np.tanh(a_g), logistic(a_o)
    new_c = f * c + i * g
    shown, norm_c = norm(p, "memory_norm", new_c)
    return (o * np.tanh(shown), new_c), (x, h, c, i, f, g, o, np.tanh(shown), norm_x, norm_h, norm_c)


def lstm_layernorm_backward(p, saved, d_h, d_c):
    x, h, c, i, f, g, o, squashed, norm_x, norm_h, norm_c = saved
    d_memory, grads = norm_backward(p, "memory_norm", norm_c, d_h * o * (1 - squashed**2))
    d_c = d_c + d_memory
    d_a = [d_c * g * i * (1 - i), d_c * c * f * (1 - f), d_c * i * (1 - g**2), d_h * squashed * o * (1 - o)]
    d_ax, input_norm = norm_backward(p, "input_norm", norm_x, np.concatenate(d_a, 1))
    d_ah, recurrent_norm = norm_backward(p, "recurrent_norm", norm_h, np.concatenate(d_a, 1))
    d_x, entering = linear_backward(p, "input", d_ax, x)
    d_old_h, recurrent = linear_backward(p, "recurrent", d_ah, h)
    return d_x, (d_old_h, d_c * f), grads | input_norm | recurrent_norm | entering | recurrent


def gru_layernorm_forward(p, x, h):
    x_rz, x_n = np.split(linear(p, "input", x), [2 * h.shape[1]], axis=1)
    h_rz, h_n = np.split(linear(p, "recurrent", h), [2 * h.shape[1]], axis=1)
    x_rz, norm_x_rz = norm(p, "input_gates_norm", x_rz)
    h_rz, norm_h_rz = norm(p, "recurrent_gates_norm", h_rz)
    x_n, norm_x_n = norm(p, "input_candidate_norm", x_n)
    h_n, norm_h_n = norm(p, "recurrent_candidate_norm", h_n)
    r, z = split(logistic(x_rz + h_rz), 2)
    n = np.tanh(x_n + r * h_n)
    return ((1 - z) * n + z * h,), (x, h, r, z, n, h_n, norm_x_rz, norm_h_rz, norm_x_n, norm_h_n)


def gru_layernorm_backward(p, saved, d):
    x, h, r, z, n, h_n, norm_x_rz, norm_h_rz, norm_x_n, norm_h_n = saved
    d_an = d * (1 - z) * (1 - n**2)
    d_rz = np.concatenate([d_an * h_n * r * (1 - r), d * (h - n) * z * (1 - z)], 1)
    d_x_rz, grads = norm_backward(p, "input_gates_norm", norm_x_rz, d_rz)
    d_h_rz, recurrent_gates = norm_backward(p, "recurrent_gates_norm", norm_h_rz, d_rz)
    d_x_n, input_candidate = norm_backward(p, "input_candidate_norm", norm_x_n, d_an)
    d_h_n, recurrent_candidate = norm_backward(p, "recurrent_candidate_norm", norm_h_n, d_an * r)
    grads |= recurrent_gates | input_candidate | recurrent_candidate
    d_x, entering = linear_backward(p, "input", np.concatenate([d_x_rz, d_x_n], 1), x)
    d_h, recurrent = linear_backward(p, "recurrent", np.concatenate([d_h_rz, d_h_n], 1), h)
    return d_x, (d * z + d_h,), grads | entering | recurrent


def dense(weight):
    """The whole matrix (gates * size, size) of a block-diagonal weight (heads, gates, out, in)."""
    heads, gates, size, _ = weight.shape
    matrix = np.zeros((gates, heads * size, heads * size))
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        matrix[:, own, own] = weight[head]
    return matrix.reshape(gates * heads * size, heads * size)


def blocks(matrix, shape):
    """The blocks of `dense`, taken out of the matrix's gradient."""
    heads, gates, size, _ = shape
    matrix = matrix.reshape(gates, heads, size, heads, size)
    return np.stack([matrix[:, head, :, head] for head in range(heads)])


def slstm(log_forget, log_forget_slope):
    """sLSTM without its stabiliser inside: the memories are scaled back, stepped as the definition says, and scaled.

    That the result does not depend on m is so used rather than repeated. It needs weights and inputs of moderate size.
    """

    def forward(p, x, h, c, n, m):
        a_i, a_f, a_z, a_o = split(linear(p, "input", x) + h @ dense(p["recurrent.weight"]).T, 4)
        true_c, true_n = c * np.exp(m), n * np.exp(m)
        i, f, z, o = np.exp(a_i), np.exp(log_forget(a_f)), np.tanh(a_z), logistic(a_o)
        new_c, new_n = f * true_c + i * z, f * true_n + i
        new_m = np.where(n == 0, a_i, np.maximum(log_forget(a_f) + m, a_i))
        new = o * new_c / new_n, new_c * np.exp(-new_m), new_n * np.exp(-new_m), new_m
        first = (n == 0) | (log_forget(a_f) + m < a_i)
        keeps = np.where(n == 0, np.exp(new_m), f * np.exp(m))
        return new, (x, h, true_c, true_n, a_f, i, f, z, o, new_c, new_n, new_m, first, keeps)

    def backward(p, saved, d_h, d_c, d_n, d_m):
        x, h, true_c, true_n, a_f, i, f, z, o, new_c, new_n, new_m, first, keeps = saved
        scaled_back = np.exp(-new_m)
        d_new_m = d_m - d_c * new_c * scaled_back - d_n * new_n * scaled_back
        d_true_c = d_c * scaled_back + d_h * o / new_n
        d_true_n = d_n * scaled_back - d_h * o * new_c / new_n**2
        d_ai = (d_true_c * z + d_true_n) * i + np.where(first, d_new_m, 0)
        d_log_f = (d_true_c * true_c + d_true_n * true_n) * f + np.where(first, 0, d_new_m)
        d_az = d_true_c * i * (1 - z**2)
        d_ao = d_h * new_c / new_n * o * (1 - o)
        d_a = np.concatenate([d_ai, d_log_f * log_forget_slope(a_f), d_az, d_ao], 1)
        d_old_m = np.where(first, 0, d_new_m) + (d_true_c * true_c + d_true_n * true_n) * f
        d_x, grads = linear_backward(p, "input", d_a, x)
        weight = p["recurrent.weight"]
        grads["recurrent.weight"] = blocks(d_a.T @ h, weight.shape)
        old = d_a @ dense(weight), d_true_c * keeps, d_true_n * keeps, d_old_m
        return d_x, old, grads

    return Step(forward, backward)


def gate_product(p, k, a):
    """The product of a round, of one matrix or of two, and its matrix."""
    if f"gate_{k}.weight" in p:
        matrix = p[f"gate_{k}.weight"]
    else:
        matrix = p[f"gate_{k}.1.weight"] @ p[f"gate_{k}.0.weight"]
    return a @ matrix.T, matrix


def gate_gradients(p, k, d_matrix):
    if f"gate_{k}.weight" in p:
        return {f"gate_{k}.weight": d_matrix}
    left, right = p[f"gate_{k}.1.weight"], p[f"gate_{k}.0.weight"]
    return {f"gate_{k}.1.weight": d_matrix @ right.T, f"gate_{k}.0.weight": left.T @ d_matrix}


def mogrifier_forward(p, x, h, c):
    rounds = []
    for k in range(1, 1 + max((int(key[5]) for key in p if key.startswith("gate_")), default=0)):
        reading, gated = (h, x) if k % 2 else (x, h)
        product, matrix = gate_product(p, k, reading)
        gate = 2 * logistic(product)
        rounds.append((k, matrix, reading, gated, gate))
        x, h = (gate * x, h) if k % 2 else (x, gate * h)
    new, saved = lstm_forward(p, x, h, c)
    return new, (rounds, saved)


def mogrifier_backward(p, saved, d_h, d_c):
    rounds, saved = saved
    d_x, (d_old, d_c), grads = lstm_backward(p, saved, d_h, d_c)
    for k, matrix, reading, gated, gate in reversed(rounds):
        d_gated = d_x if k % 2 else d_old
        d_product = d_gated * gated * gate * (1 - gate / 2)
        grads |= gate_gradients(p, k, d_product.T @ reading)
        d_reading = d_product @ matrix
        d_x, d_old = (d_x * gate, d_old + d_reading) if k % 2 else (d_x + d_reading, d_old * gate)
    return d_x, (d_old, d_c), grads


STEPS = {
    "lstm-layernorm": Step(lstm_layernorm_forward, lstm_layernorm_backward),
    "gru-layernorm": Step(gru_layernorm_forward, gru_layernorm_backward),
    "slstm": slstm(lambda a: -np.log1p(np.exp(-a)), lambda a: logistic(-a)),
    "slstm-exp": slstm(lambda a: a, np.ones_like),
    "mogrifier-lstm": Step(mogrifier_forward, mogrifier_backward),
    "mogrifier-rank": Step(mogrifier_forward, mogrifier_backward),
}
