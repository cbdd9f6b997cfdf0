"""How many threads a call takes, how they share it, and whether products with the input go into the loop: the only
place that decides this."""

from __future__ import annotations

import os

import torch

__all__ = ["decide", "decide_stream", "inlines"]

# Below this many multiplications and additions a second thread costs more than it brings.
SMALL_WORK = 2_000_000
# Weights of the loop that stay in a core's own cache beside the rows they are multiplied with.
CACHED_WEIGHTS = 1 << 20
# With so many rows a step uses each weight often enough to pay for reading it.
ROWS_TO_INLINE = 4
# Of weights from further away than that, those of so many features of the input for each row.
INPUTS_OF_A_ROW = 20
# As native/call.hpp has them: products are made on tiles, of 16 rows each, from such sizes on.
TILE_ROWS, TILED_HEIGHT, TILED_ROWS, TILED_INPUTS = 16, 13, 192, 64
# With so many rows a slice, reading weights from memory is no longer what takes the time.
MANY_ROWS = 32
# One sequence is not worth a barrier at every step unless its weights are at least this large.
TEAM_WEIGHTS = 64 << 10
# Below this many multiplications and additions of a step that runs alone, a second thread gains a few microseconds on
# an idle machine and loses far more on a busy one.
SMALL_STEP = 4_000_000
# Above so many, about five microseconds, other Python threads run during a step.
LONG_STEP = 500_000
# A core's own cache, where the system does not tell it.
SECOND_LEVEL_CACHE = 1 << 20


def decide(time: int, batch: int, work: int, weight_bytes: int) -> tuple[int, int]:
    """The slices of a batch, each run by a thread of its own, and the threads that share one slice.

    The rule: one thread for little work. Whole sequences a thread, which wait for nobody, where the weights of the loop
    stay in the cache of each core, or where the rows of a slice are so many that reading the weights anew at each step
    does not count. Otherwise all threads share one slice, each with its columns of the weights, and wait for each other
    at every step. One sequence alone is shared if its weights are worth it.

    Args:
        time: steps.
        batch: sequences.
        work: multiplications and additions of one step and row.
        weight_bytes: size of the matrices that each step reads.

    Returns:
        slices and team; one of them is 1, their product is at most torch.get_num_threads().
    """
    threads = torch.get_num_threads()
    if threads == 1 or work * time * batch < SMALL_WORK:
        return 1, 1
    if batch == 1:
        return 1, threads if weight_bytes >= TEAM_WEIGHTS else 1
    if weight_bytes <= CACHED_WEIGHTS or batch >= MANY_ROWS * threads:
        return min(threads, batch), 1
    return 1, threads


def decide_stream(work: int, weight_bytes: int) -> tuple[int, bool]:
    """How a step that runs alone is run: a push into a stream.

    Threads share it where a layer's weights are more than twice a core's own cache, or where there is much to do.

    Args:
        work: multiplications and additions of the step, all layers and rows.
        weight_bytes: size of the largest layer's matrices.

    Returns:
        threads, and whether other Python threads may run meanwhile.
    """
    shared = weight_bytes > 2 * _second_level_cache() or work > SMALL_STEP
    return (torch.get_num_threads() if shared else 1), shared or work > LONG_STEP


def inlines(rows: int, time: int, inputs: int, tiles: bool, weight_bytes: int) -> bool:
    """Whether products with the input are made step by step, rather than for many steps at once before them.

    Step by step, a product with the input goes into the same sum as the product with the state, and no sum is written
    to memory and read again. It asks for the input's weights at every step, though, which few rows do not pay for: of
    weights that do not stay in a core's cache, few beside the features of the input.
    Where the processor multiplies tiles, and the rows of a step are too few for them, those of many steps are not.

    Args:
        rows: sequences of a slice.
        time: steps.
        inputs: features of the input.
        tiles: whether products are made on tiles where they are large enough.
        weight_bytes: what a thread reads of weights at each step if they are.
    """
    if tiles and inputs >= TILED_INPUTS and rows * time >= TILED_ROWS:
        tile_count = -(-rows // TILE_ROWS)
        return -(-rows // tile_count) >= TILED_HEIGHT
    return rows >= ROWS_TO_INLINE and (weight_bytes <= CACHED_WEIGHTS or inputs <= INPUTS_OF_A_ROW * rows)


def _second_level_cache() -> int:
    """Bytes of a core's own cache."""
    try:
        return os.sysconf("SC_LEVEL2_CACHE_SIZE") or SECOND_LEVEL_CACHE
    except (AttributeError, ValueError, OSError):
        return SECOND_LEVEL_CACHE
