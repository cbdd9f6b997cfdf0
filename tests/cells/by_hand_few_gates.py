"""By hand, as `by_hand`: the cells with fewer gates than an LSTM, and those whose products see the input alone."""

from __future__ import annotations

import numpy as np

from tests.cells.by_hand import Step, logistic


def linear(p, name, a):
    product = a @ p[f"{name}.weight"].T
    return product + p[f"{name}.bias"] if f"{name}.bias" in p else product


def linear_backward(p, name, d, a):
    """Gradients of what entered and of the parameters."""
    grads = {f"{name}.weight": d.T @ a}
    if f"{name}.bias" in p:
        grads[f"{name}.bias"] = d.sum(0)
    return d @ p[f"{name}.weight"], grads


def split(a, parts):
    return np.split(a, parts, axis=1)


def mgu_forward(p, x, h):
    a_f, a_n = split(linear(p, "input", x), 2)
    f = logistic(a_f + linear(p, "recurrent", h))
    n = np.tanh(a_n + linear(p, "candidate", f * h))
    return ((1 - f) * h + f * n,), (x, h, f, n)


def mgu_backward(p, saved, d):
    x, h, f, n = saved
    d_an = d * f * (1 - n**2)
    d_reset, candidate = linear_backward(p, "candidate", d_an, f * h)
    d_af = (d * (n - h) + d_reset * h) * f * (1 - f)
    d_h, recurrent = linear_backward(p, "recurrent", d_af, h)
    d_x, entering = linear_backward(p, "input", np.concatenate([d_af, d_an], 1), x)
    return d_x, (d * (1 - f) + d_reset * f + d_h,), candidate | recurrent | entering


def janet_forward(p, x, h):
    s, a_n = split(linear(p, "input", x) + linear(p, "recurrent", h), 2)
    kept, taken, n = logistic(s), 1 - logistic(s - 1), np.tanh(a_n)
    return (kept * h + taken * n,), (x, h, kept, taken, n)


def janet_backward(p, saved, d):
    x, h, kept, taken, n = saved
    d_s = d * h * kept * (1 - kept) - d * n * taken * (1 - taken)
    d_a = np.concatenate([d_s, d * taken * (1 - n**2)], 1)
    d_h, recurrent = linear_backward(p, "recurrent", d_a, h)
    d_x, entering = linear_backward(p, "input", d_a, x)
    return d_x, (d * kept + d_h,), recurrent | entering


def ligru_forward(p, x, h):
    a_z, a_n = split(linear(p, "input", x) + linear(p, "recurrent", h), 2)
    z = logistic(a_z)
    return (z * h + (1 - z) * np.maximum(a_n, 0),), (x, h, z, a_n)


def ligru_backward(p, saved, d):
    x, h, z, a_n = saved
    d_az = d * (h - np.maximum(a_n, 0)) * z * (1 - z)
    d_a = np.concatenate([d_az, d * (1 - z) * (a_n > 0)], 1)
    d_h, recurrent = linear_backward(p, "recurrent", d_a, h)
    d_x, entering = linear_backward(p, "input", d_a, x)
    return d_x, (d * z + d_h,), recurrent | entering


def indrnn_forward(p, x, h):
    a = linear(p, "input", x) + p["recurrent_vector"] * h
    return (np.maximum(a, 0),), (x, h, a)


def indrnn_backward(p, saved, d):
    x, h, a = saved
    d_a = d * (a > 0)
    d_x, grads = linear_backward(p, "input", d_a, x)
    return d_x, (d_a * p["recurrent_vector"],), grads | {"recurrent_vector": (d_a * h).sum(0)}


def sru_forward(p, x, h, c):
    a_f, a_r, n = split(linear(p, "input", x), 3)
    f, r = logistic(a_f + p["recurrent_f"] * c), logistic(a_r + p["recurrent_r"] * c)
    new_c = f * c + (1 - f) * n
    skip = np.sqrt(3) * (linear(p, "skip", x) if "skip.weight" in p else x)
    return (r * new_c + (1 - r) * skip, new_c), (x, c, f, r, n, new_c, skip)


def sru_backward(p, saved, d_h, d_c):
    x, c, f, r, n, new_c, skip = saved
    d_c = d_c + d_h * r
    d_ar = d_h * (new_c - skip) * r * (1 - r)
    d_af = d_c * (c - n) * f * (1 - f)
    d_x, grads = linear_backward(p, "input", np.concatenate([d_af, d_ar, d_c * (1 - f)], 1), x)
    grads |= {"recurrent_f": (d_af * c).sum(0), "recurrent_r": (d_ar * c).sum(0)}
    d_skip = d_h * (1 - r) * np.sqrt(3)
    if "skip.weight" in p:
        d_skip, skipping = linear_backward(p, "skip", d_skip, x)
        grads |= skipping
    d_old = d_c * f + d_af * p["recurrent_f"] + d_ar * p["recurrent_r"]
    return d_x + d_skip, (np.zeros_like(d_h), d_old), grads


def mingru_forward(p, x, h):
    a_z, n = split(linear(p, "input", x), 2)
    z = logistic(a_z)
    return ((1 - z) * h + z * n,), (x, h, z, n)


def mingru_backward(p, saved, d):
    x, h, z, n = saved
    d_x, grads = linear_backward(p, "input", np.concatenate([d * (n - h) * z * (1 - z), d * z], 1), x)
    return d_x, (d * (1 - z),), grads


def minlstm_forward(p, x, h):
    a_f, a_i, n = split(linear(p, "input", x), 3)
    f, i = logistic(a_f), logistic(a_i)
    return ((f * h + i * n) / (f + i),), (x, h, f, i, n)


def minlstm_backward(p, saved, d):
    x, h, f, i, n = saved
    d_f = d * i * (h - n) / (f + i) ** 2
    d_i = d * f * (n - h) / (f + i) ** 2
    d_a = np.concatenate([d_f * f * (1 - f), d_i * i * (1 - i), d * i / (f + i)], 1)
    d_x, grads = linear_backward(p, "input", d_a, x)
    return d_x, (d * f / (f + i),), grads


STEPS = {
    "mgu": Step(mgu_forward, mgu_backward),
    "janet": Step(janet_forward, janet_backward),
    "ligru": Step(ligru_forward, ligru_backward),
    "indrnn": Step(indrnn_forward, indrnn_backward),
    "sru": Step(sru_forward, sru_backward),
    "mingru": Step(mingru_forward, mingru_backward),
    "minlstm": Step(minlstm_forward, minlstm_backward),
}
