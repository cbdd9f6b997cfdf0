"""Tables with something broken in them are read, or refused with one message; nothing else happens."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steploom.data.series.columns import Columns
from steploom.data.series.tables import read_series
from steploom.errors import SteploomError

HOURS = pd.date_range("2020-01-01", periods=12, freq="h")
LONG = "unique_id,ds,y,x,k\n" + "".join(f"{s},{t},{i},{i * 2},c{s}\n" for s in "ab" for i, t in enumerate(HOURS))
WIDE = "time;a;b\n" + "".join(
    f"{t:%d.%m.%Y};{i};{i * 2}\n" for i, t in enumerate(pd.date_range("2020-01-01", periods=25))
)
PARTS = "year,month,day,hour,pm\n" + "".join(f"2020,1,{1 + i // 24},{i % 24},{i}\n" for i in range(40))
CASES = [
    (LONG, Columns(past=("x",), static=("k",))),
    (LONG, Columns(known=("x",))),
    (WIDE, Columns()),
    (WIDE, Columns(targets=("a",), past=("b",))),
    (PARTS, Columns()),
]
CELLS = [
    "", " ", "\n", '"', "\r", "\t", "\ufeff", "'", ",", ";", "|", "é", "-", "x", "0", "NA", "nan", "inf", "1e308",
    "-1e308", "99999999999", "2020", "20200101",
    "2020-01-01", "2020-01-01T00:00:00+14:00", "1677-01-01", "2262-05-01", "12:00",
]  # fmt: skip


def damaged(text: str, draw: random.Random) -> bytes:
    for _ in range(draw.choice([1, 1, 2, 4])):
        lines = text.split("\n")
        row, kind = draw.randrange(len(lines)), draw.randrange(5)
        place = draw.randrange(len(text) + 1)
        if kind == 0:
            cells = lines[row].split(",")
            cells[draw.randrange(len(cells))] = draw.choice(CELLS)
            text = "\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]])
        elif kind == 1:
            text = text[:place] + draw.choice(CELLS) + text[place + draw.randrange(3) :]
        elif kind == 2:
            draw.shuffle(lines)
            text = "\n".join(lines)
        elif kind == 3:
            text = "\n".join([*lines[:row], *lines[row + 1 :]])
        else:
            text = text[:place]
    return text.encode("latin-1", "replace") if draw.random() < 0.05 else text.encode()


@pytest.mark.parametrize("seed", range(5))
def test_a_table_or_a_message(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path = tmp_path / "damaged.csv"
    read = 0
    for _ in range(300):
        text, columns = draw.choice(CASES)
        path.write_bytes(damaged(text, draw))
        try:
            table = read_series([path], columns)
        except SteploomError as error:
            assert len(str(error)) < 1000
            continue
        read += 1
        for series in table.data:
            assert len(series.past) == len(series) <= len(series.known)
            assert np.isfinite(series.target[[0, -1]]).all() and not np.isinf(series.target).any()
    assert read > 20
