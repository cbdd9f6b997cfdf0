"""The small files that the pages of the documentation work with."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

__all__ = ["write_files"]

WORDS = ["loom", "thread", "river", "night", "stone", "light", "winter", "song", "field", "morning"]


GOOD, BAD = ["fine", "lovely", "moving", "great"], ["dull", "poor", "tired", "awful"]


def write_labelled(folder: Path) -> None:
    """Writes reviews.csv, 300 texts with the label good or bad, and strokes.npz, 300 images of a line each."""
    draw = random.Random(1)
    rows = ["text,label"]
    for number in range(300):
        words = GOOD if number % 3 else BAD
        place = "the " + " ".join(draw.choices(WORDS, k=3))
        rows.append(f'"A {draw.choice(words)} film, {place} and all.",{"good" if number % 3 else "bad"}')
    (folder / "reviews.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    chance = np.random.default_rng(1)
    images, labels = chance.integers(0, 60, (300, 8, 8)).astype(np.uint8), chance.integers(0, 3, 300)
    for image, label in zip(images, labels, strict=True):
        at = chance.integers(0, 8)
        image[
            (np.arange(8), at) if label == 0 else (at, np.arange(8)) if label == 1 else (np.arange(8), np.arange(8))
        ] = 255
    np.savez_compressed(folder / "strokes.npz", images=images, labels=labels)


def write_pairs(folder: Path) -> None:
    """Writes pairs-train.tsv and pairs.tsv: two sentences a row and how many of their three nouns are the same."""
    draw = random.Random(2)
    for name, count in (("pairs-train.tsv", 80), ("pairs.tsv", 40)):
        rows = ["sentence_A\tsentence_B\trelatedness_score"]
        for _ in range(count):
            first = draw.choices(WORDS, k=3)
            second = [word if draw.random() < 0.6 else draw.choice(WORDS) for word in first]
            same = sum(a == b for a, b in zip(first, second, strict=True))
            sides = ["The {} and the {} went by the {}.".format(*words) for words in (first, second)]
            rows.append(f"{sides[0]}\t{sides[1]}\t{same}")
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_trees(folder: Path) -> None:
    """Writes trees.txt: sentences in brackets, each node with the label good, bad or so-so."""
    draw = random.Random(3)
    lines = []
    for _ in range(200):
        mood = draw.choice(["good", "bad"])
        judged = f"({mood} (so-so was) ({mood} {draw.choice(GOOD if mood == 'good' else BAD)}))"
        lines.append(f"({mood} (so-so (so-so The) (so-so {draw.choice(WORDS)})) ({mood} {judged} (so-so .)))")
    (folder / "trees.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_tagged(folder: Path) -> None:
    """Writes names.txt (a word a line, its part of speech, and who and where in IOB2)."""
    draw = random.Random(0)
    people, places = ["Ada Lovelace", "Alan", "Grace Hopper", "Rosa"], ["Oslo", "New York", "Paris", "Lima"]
    blocks = []
    for _ in range(200):
        rows = []
        for piece in draw.choice(["P went to L .", "P and P met in L .", "the N of L", "P likes the N ."]).split():
            found = {"P": people, "L": places, "N": WORDS}.get(piece, [piece])
            kind = {"P": "PER", "L": "LOC"}.get(piece)
            for number, word in enumerate(draw.choice(found).split()):
                tag = "O" if kind is None else f"{'I' if number else 'B'}-{kind}"
                rows.append(f"{word} {'NNP' if kind else 'NN' if piece == 'N' else 'X'} {tag}\n")
        blocks.append("".join(rows))
    (folder / "names.txt").write_text("\n".join(blocks), encoding="utf-8")


def write_parallel(folder: Path) -> None:
    """Writes train.fr and train.en, test.fr and test.en, parallel lines, and dialogue.tsv (question, answer)."""
    draw = random.Random(4)
    nouns = {"chien": "dog", "chat": "cat", "livre": "book", "vin": "wine", "oiseau": "bird"}
    colours = {"rouge": "red", "noir": "black", "blanc": "white", "vert": "green"}
    verbs = {"voit": "sees", "cherche": "looks for", "trouve": "finds"}
    for name, count in (("train", 400), ("test", 40)):
        sides: tuple[list[str], list[str]] = ([], [])
        for _ in range(count):
            (one, other), verb = draw.sample(list(nouns), 2), draw.choice(list(verbs))
            hues = draw.choices(list(colours), k=2)
            sides[0].append(f"Le {one} {hues[0]} {verb} un {other} {hues[1]} .")
            sides[1].append(f"The {colours[hues[0]]} {nouns[one]} {verbs[verb]} a {colours[hues[1]]} {nouns[other]} .")
        for side, lines in zip(("fr", "en"), sides, strict=True):
            (folder / f"{name}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = ["question\tanswer"]
    for _ in range(300):
        hue, noun = draw.choice(list(colours.values())), draw.choice(list(nouns.values()))
        rows.append(
            f"Is the {noun} {hue} ?\t" + draw.choice([f"Yes , the {noun} is {hue} .", f"No , it is not {hue} ."])
        )
    (folder / "dialogue.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_files(folder: Path) -> None:
    """Writes power.csv (an hourly series), book.txt (prose), poems.txt (a poem a line), reviews.csv (labelled texts),
    strokes.npz (labelled images), names.txt (tagged words), trees.txt (trees in brackets), pairs.tsv and
    pairs-train.tsv (scored pairs)."""
    write_labelled(folder)
    write_tagged(folder)
    write_trees(folder)
    write_pairs(folder)
    write_parallel(folder)
    draw = random.Random(0)
    start = datetime(2024, 1, 1)
    rows = ["time,load"]
    for hour in range(24 * 60):
        load = 50 + 20 * math.sin(2 * math.pi * hour / 24) + draw.gauss(0, 2)
        rows.append(f"{start + timedelta(hours=hour):%Y-%m-%d %H:%M:%S},{load:.2f}")
    (folder / "power.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    prose = [
        f"The {draw.choice(WORDS)} and the {draw.choice(WORDS)} went by the {draw.choice(WORDS)}." for _ in range(400)
    ]
    (folder / "book.txt").write_text("\n".join(prose) + "\n", encoding="utf-8")
    poems = [", ".join(" ".join(draw.choices(WORDS, k=3)) for _ in range(2)) + "." for _ in range(300)]
    (folder / "poems.txt").write_text("\n".join(poems) + "\n", encoding="utf-8")
