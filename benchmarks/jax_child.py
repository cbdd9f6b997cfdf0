"""The process that `jax_side.py` starts, in an interpreter that need have nothing but JAX.

Reads one request a line as JSON and answers each with one number. The products with the input are taken out of the
scan, as a careful user writes it.
"""

import json
import os
import sys
import time

threads = int(sys.argv[1])
if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads, which are as many as the processors it sees
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

SGEMM = 1024


def lstm(p, z, state):
    h, c = state
    i, f, g, o = jnp.split(z + h @ p["recurrent.weight"].T, 4, -1)
    if "peephole_i" in p:
        i, f = i + p["peephole_i"] * c, f + p["peephole_f"] * c
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    if "peephole_o" in p:
        o = o + p["peephole_o"] * c
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def gru(p, z, state):
    (h,) = state
    r, u, n = jnp.split(z, 3, -1)
    r_h, u_h, n_h = jnp.split(h @ p["recurrent.weight"].T + p["recurrent.bias"], 3, -1)
    r, u = jax.nn.sigmoid(r + r_h), jax.nn.sigmoid(u + u_h)
    n = jnp.tanh(n + r * n_h)
    h = (1 - u) * n + u * h
    return (h,), h


CELLS = {"lstm": (lstm, 2), "lstm-peephole": (lstm, 2), "gru": (gru, 1)}


def build(name):
    step, states = CELLS[name]

    def outputs(p, x):
        z = x @ p["input.weight"].T + p["input.bias"]
        if name != "gru":
            z = z + p["recurrent.bias"]
        hidden = p["recurrent.weight"].shape[1]
        start = tuple(jnp.zeros((x.shape[1], hidden), x.dtype) for _ in range(states))
        return jax.lax.scan(lambda state, row: step(p, row, state), start, z)[1]

    def loss(p, x, arriving):
        y = outputs(p, x)
        return jnp.vdot(y, arriving), y

    return jax.jit(outputs), jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))


def seconds(run):
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def load(name, sent, got):
    """The two runs of a cell on the data of the file `sent`; what they make goes to the file `got`."""
    with np.load(sent) as arrays:
        p = {key: jnp.asarray(arrays[key]) for key in arrays.files}
    x, arriving = p.pop("x"), p.pop("arriving")
    forward, backward = build(name)
    (dp, dx), y = backward(p, x, arriving)
    np.savez(got, y=np.asarray(y), x=np.asarray(dx), **{key: np.asarray(value) for key, value in dp.items()})
    return {"infer": lambda: forward(p, x), "train": lambda: backward(p, x, arriving)}


def sgemm():
    """GFLOP/s of a large product of matrices."""
    a = jnp.ones((SGEMM, SGEMM), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    seconds(lambda: product(a))
    return 2e-9 * SGEMM**3 / sorted(seconds(lambda: product(a)) for _ in range(9))[4]


def main():
    runs = {}
    for line in sys.stdin:
        word, *rest = json.loads(line)
        answer = 0.0
        if word == "load":
            runs = load(*rest)
        else:
            answer = sgemm() if word == "sgemm" else seconds(runs[word])
        print(answer, flush=True)


if __name__ == "__main__":
    main()
