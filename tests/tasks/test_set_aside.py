"""Which examples the tasks that count set aside for validation: all by one rule."""

import pytest

from steploom.tasks.registry import task_class


def generate(path, count):
    path.write_text("ab\n" * count)
    options, files = {"lines": True}, [path]
    return options, files, lambda task: task.artefacts["text"]["tokens"] // 3, "line"


def translate(path, count):
    path.write_text("a b\tc d\n" * count)
    return {"unit": "words"}, [path], lambda task: task.artefacts["pairs"]["count"], "pair"


def tag(path, count):
    path.write_text("a N\nb V\n\n" * count)
    return {"scheme": "labels"}, [path], lambda task: task.tags.sentences, "sentence"


@pytest.mark.parametrize(
    ("count", "kept", "said"),
    [
        (1, 1, "none"),
        (2, 1, "the last of 2 {}s"),
        (4, 3, "the last of 4 {}s"),
        (5, 4, "every 5th {}, 1 {}"),
        (6, 5, "every 5th {}, 1 {}"),
        (10, 8, "every 5th {}, 2 {}s"),
    ],
)
@pytest.mark.parametrize("task", [generate, translate, tag])
def test_one_at_least_and_never_all(tmp_path, task, count, kept, said):
    options, files, left, noun = task(tmp_path / "data.tsv", count)
    kind = task_class(task.__name__)
    prepared = kind.prepare(kind.TrainOptions(valid_every=5, **options), files)
    assert left(prepared.task) == kept
    assert prepared.task.facts()["validation"] == said.format(noun, noun)
    assert (prepared.valid is None) == (prepared.valid_source is None) == (kept == count)
