"""The task `classify` on trees, from brackets to figures."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file

from steploom.data.labelled.examples import Examples
from steploom.data.labelled.tree_batches import EncodedTrees
from steploom.data.labelled.trees import parse_tree
from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.train import resume, train
from steploom.tasks.trained import load

SMALL = {"hidden_size": 12, "batch_size": 8, "dropout": 0.0, "word_dropout": 0.0, "progress": False, "epochs": 1}
MOODS = {"good": 4, "fine": 3, "a": 2, "film": 2, "poor": 1, "bad": 0}


def sentence(draw, depth):
    """A tree of moods as text, and its mood; `not` turns the mood of what stands to its right."""
    if depth == 0 or draw.random() < 0.2:
        word = draw.choice(list(MOODS))
        return f"({MOODS[word]} {word})", MOODS[word]
    right, mood = sentence(draw, depth - 1)
    if draw.random() < 0.3:
        return f"({4 - mood} (2 Not) {right})", 4 - mood
    left, other = sentence(draw, depth - 1)
    both = max(mood, other, key=lambda m: abs(m - 2))
    return f"({both} {left} {right})", both


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, draw = tmp_path_factory.mktemp("trees"), random.Random(0)
    for name, count in (("train.txt", 240), ("test.txt", 60)):
        lines = [sentence(draw, 4)[0] for _ in range(count)]
        (path / name).write_text("".join(f"{line}\n" for line in lines))
    (path / "wide.txt").write_text("(1 (1 a) (0 b) (1 c))\n(0 (1 a) (0 d))\n" * 10)
    return path


def trained(folder, out, name="train.txt", **options):
    return train("classify", folder / name, out, **{**SMALL, **options})


BINARY = {"0": "bad", "1": "bad", "2": "", "3": "good", "4": "good"}


@pytest.fixture(scope="module", params=["nary", "child-sum", "recursive"])
def model(request, folder, tmp_path_factory):
    return trained(
        folder,
        tmp_path_factory.mktemp("m") / request.param,
        tree_network=request.param,
        test=folder / "test.txt",
        lower_case=True,
        epochs=6,
        lr=0.02,
    )


@pytest.mark.parametrize("lower_case", [True, False])
def test_a_word_that_holds_a_space_is_one_word(tmp_path, lower_case):
    text = "(1 (1 8\u00a01/2) (1 A\u2009B))\n(0 (0 a) (0 film))\n" * 10
    (tmp_path / "train.txt").write_text(text)
    model = trained(tmp_path, tmp_path / "m", lower_case=lower_case)
    vocabulary = load(tmp_path / "m").task.kind.vocabulary
    assert set(vocabulary.tokens) == {
        "<unk>",
        "<eos>",
        "a",
        "film",
        "8\u00a01/2",
        "a\u2009b" if lower_case else "A\u2009B",
    }
    encoded = model.task.kind.encode(
        Examples([parse_tree(text.partition("\n")[0])], None, (tmp_path,), ((0, 1),)), False
    )
    assert vocabulary.unknown not in encoded.collate(torch.tensor([0]))["token"].tolist()


def test_spaces_that_do_not_break_beside_brackets_make_no_class_and_no_word(tmp_path):
    space = "\u00a0"
    text = f"(neg{space}(neg The) (neg dull))\n(pos{space}(pos The{space}){space}(pos film))\n" * 10
    (tmp_path / "train.txt").write_text(text)
    model = trained(tmp_path, tmp_path / "m", valid_share=0)
    assert model.task.artefacts["labels"]["classes"] == ["neg", "pos"]
    assert model.task.artefacts["labels"]["trained"] == [30, 30]
    assert set(model.task.kind.vocabulary.tokens) == {"<unk>", "<eos>", "The", "dull", "film"}


@pytest.mark.parametrize("node_labels", [True, False])
def test_balanced_weights_are_of_the_labels_that_train(tmp_path, node_labels):
    # Roots of three labels, each as often; below them there is only one of these, and some that is none.
    text = "".join(f"({root} ({2 + 7 * (root == 1)} a) (2 b))\n" for root in (0, 1, 2) * 10)
    (tmp_path / "train.txt").write_text(text)
    options = {"class_weights": "balanced", "node_labels": node_labels, "valid_share": 0, "relabel": "2=two"}
    model = trained(tmp_path, tmp_path / "m", **options)
    labels, weights = model.task.artefacts["labels"], load(tmp_path / "m").network.class_weights
    assert labels["classes"] == ["0", "1", "two"] and labels["counts"] == [10, 10, 10]
    counts = torch.tensor([10, 10, 60 if node_labels else 10])
    assert torch.allclose(weights * counts, torch.full((3,), counts.sum() / 3))


def test_each_network_learns_what_not_does(model):
    metrics, majority = model.report["test"]["metrics"], model.report["test"]["baselines"]["majority"]
    assert metrics["examples"] == 60
    assert metrics["accuracy"] > majority["accuracy"] + 0.2
    assert model.task.artefacts["labels"]["classes"] == ["0", "1", "2", "3", "4"]
    assert model.task.artefacts["inputs"] == {"kind": "trees", "arity": 2, "most_nodes": 31}
    assert "not" in model.task.kind.vocabulary.numbers


def test_the_loss_of_all_nodes_is_drawn_apart_from_that_of_the_roots(model):
    last = json.loads((model.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert "train_loss" in last and "valid_probability" in last and "train_probability" not in last


def test_a_model_comes_back_from_its_directory(model, folder):
    again = load(model.path)
    assert again.evaluate(folder / "test.txt").metrics == model.evaluate(folder / "test.txt").metrics
    assert again.predict(folder / "test.txt").value == model.predict(folder / "test.txt").value


def test_predictions_of_trees_and_of_their_nodes(model, folder):
    rows = model.predict(folder / "test.txt", nodes=True).value
    lines = (folder / "test.txt").read_text().splitlines()
    assert len(rows) == 60 and [row["row"] for row in rows] == list(range(1, 61))
    for row, line in zip(rows, lines, strict=True):
        tree, given = parse_tree(line), parse_tree(row["tree"])
        assert (tree.words, tree.parents) == (given.words, given.parents)
        assert row["text"] == " ".join(tree.sentence)
        assert given.label == row["label"] == max(row["probabilities"], key=row["probabilities"].get)
    # A leaf of a tree is given what it is given alone.
    alone = model.predict(input="(x good)").value[0]["label"]
    leaves = [
        label
        for row in rows
        for label, word in zip(parse_tree(row["tree"]).labels, parse_tree(row["tree"]).words, strict=True)
        if word == "good"
    ]
    assert leaves and set(leaves) == {alone}
    assert "tree" not in model.predict(folder / "test.txt").value[0]


def test_trees_without_labels_are_predicted_and_not_trained_on(model, tmp_path):
    (tmp_path / "a.txt").write_text("((good) (film))\n\n(x (y bad) film)\n")
    rows = model.predict(tmp_path / "a.txt").value
    assert [(row["row"], row["text"]) for row in rows] == [(1, "good film"), (3, "bad film")]
    with pytest.raises(DataError, match=r"a.txt, row 1: the root of the tree has no label\. Expected a tree such as"):
        model.evaluate(tmp_path / "a.txt")


def test_the_picture_of_trees(model, folder, tmp_path):
    model.plot(tmp_path / "trees.png", folder / "test.txt")
    model.plot(tmp_path / "confusion.png")
    assert (tmp_path / "trees.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "trees.png").stat().st_size > 20_000
    assert (tmp_path / "trees.png").read_bytes() != (tmp_path / "confusion.png").read_bytes()


def test_a_picture_of_a_tree_too_large_and_of_words_for_labels(folder, tmp_path):
    words = {"0": "sad", "1": "sad", "2": "middling", "3": "$glad_$", "4": "$glad_$"}
    model = trained(folder, tmp_path / "m", relabel=words)
    (tmp_path / "large.txt").write_text("(4 (4 good) " * 200 + "(0 bad)" + ")" * 200 + "\n")
    model.plot(tmp_path / "a.png", tmp_path / "large.txt")
    assert (tmp_path / "a.png").stat().st_size > 20_000


def test_two_classes_leave_the_others_out(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    model = trained(folder, tmp_path / "m", relabel=BINARY, valid=folder / "train.txt", test=folder / "test.txt")
    roots = [parse_tree(line).label for line in (folder / "test.txt").read_text().splitlines()]
    assert model.report["test"]["metrics"]["examples"] == sum(root != "2" for root in roots)
    assert model.task.artefacts["labels"]["classes"] == ["bad", "good"]
    lines = (folder / "train.txt").read_text().splitlines()
    trees = [tree for tree in map(parse_tree, lines) if tree.label != "2"]
    below = sum(label != "2" for tree in trees for label in tree.labels[:-1])
    assert f"{below:,} nodes below the roots are labelled too and train with them" in caplog.text


def test_labels_below_the_root_can_be_left_alone(folder, tmp_path, monkeypatch):
    made = []
    collate = EncodedTrees.collate
    monkeypatch.setattr(EncodedTrees, "collate", lambda *args: made.append(collate(*args)) or made[-1])
    trained(folder, tmp_path / "a", valid_share=0)
    assert made and all("node_label" in batch for batch in made)
    assert any(len(batch["node_label"]) > len(batch["roots"]) for batch in made)
    made.clear()
    trained(folder, tmp_path / "b", valid_share=0, node_labels=False)
    assert made and not any("node_label" in batch for batch in made)


def test_labels_that_are_no_class_are_said(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    (tmp_path / "parsed.txt").write_text("(1 (NP a) (VP (V b)))\n(0 (NP a) (1 c))\n" * 5)
    trained(tmp_path, tmp_path / "m", "parsed.txt", valid_share=0)
    assert "5 nodes below the roots are labelled too" in caplog.text
    assert "left out of the loss: 20 nodes labelled NP, V, VP" in caplog.text


def test_labels_that_no_root_has_can_be_renamed(tmp_path):
    (tmp_path / "a.txt").write_text("(1 (0 a) (7 b))\n(0 (8 a) (1 c))\n" * 5)
    model = trained(tmp_path, tmp_path / "m", "a.txt", valid_share=0, relabel={"7": "", "8": "1"})
    batch, number = model.task.kind.encode(model.task.read([tmp_path / "a.txt"], True), True).numbered(torch.arange(2))
    assert batch["node_label"][number].tolist() == [0, -100, 1, 1, 1, 0]
    with pytest.raises(OptionError, match="--relabel: there is no label '9'; there are 0, 1, 7, 8"):
        trained(tmp_path, tmp_path / "n", "a.txt", relabel={"9": ""})


def test_more_children_than_two(folder, tmp_path):
    model = trained(folder, tmp_path / "m", "wide.txt", valid_share=0)
    assert model.task.artefacts["inputs"]["arity"] == 3
    assert model.network.tree.cell.children_to_gates.weight.shape == (6 * 12, 3 * 12)
    assert model.task.facts()["children of a node"] == "3 at most"
    four = {"input": "(x (x a) (x a) (x a) (x a))"}
    with pytest.raises(DataError, match="-, row 1: a node has 4 children; this nary network takes 3 at most"):
        model.predict(**four)
    summed = trained(folder, tmp_path / "s", "wide.txt", valid_share=0, tree_network="child-sum")
    architecture = {"network": "TreeClassifier", "tree_network": "child-sum", "hidden_size": 12}
    assert summed.manifest["architecture"] == architecture and summed.manifest["engine"] == "pytorch"
    assert summed.predict(**four).value[0]["label"] in ("0", "1")
    assert summed.task.facts()["children of a node"] == "any number"
    wider = trained(folder, tmp_path / "w", "wide.txt", valid_share=0, max_children=4)
    assert wider.predict(**four).value[0]["label"] in ("0", "1")


def test_trees_can_be_read_as_sentences(folder, tmp_path):
    model = trained(folder, tmp_path / "m", kind="text")
    assert model.task.artefacts["inputs"]["kind"] == "text"
    assert type(model.network).__name__ == "SequenceClassifier"


class Killed(Exception):
    pass


def test_killed_and_resumed_ends_with_the_same_bits(folder, tmp_path, monkeypatch):
    options = {"dropout": 0.3, "word_dropout": 0.1, "average": 0.9, "epochs": 2, "checkpoint_steps": 1, "lr": 0.01}
    trained(folder, tmp_path / "whole", **options)
    calls, collate = [0], EncodedTrees.collate

    def dying(self, *args):
        calls[0] += 1
        if calls[0] in (9, 50):
            raise Killed
        return collate(self, *args)

    monkeypatch.setattr(EncodedTrees, "collate", dying)
    with pytest.raises(Killed):
        trained(folder, tmp_path / "killed", **options)
    with pytest.raises(Killed):
        resume(tmp_path / "killed", progress=False)
    resume(tmp_path / "killed", progress=False)
    whole, killed = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert calls[0] > 50


BAD = {
    "unbalanced": ("(1 (0 a) (1 b)", r"bad.txt, row 3, column '1': the line ends within a bracket that is not closed"),
    "a bracket too many": ("(1 (0 a)))", "bad.txt, row 3, column '10': found '\\)' behind the end of the tree"),
    "an empty tree": ("()", "bad.txt, row 3, column '1': the bracket that begins here is empty"),
    "a text": ("so it goes", "bad.txt, row 3, column '1': expected an opening bracket, found 'so'"),
    "no label": ("((0 a) (1 b))", "bad.txt, row 3: the root of the tree has no label"),
    "too many children": (
        f"(1 {' '.join('(0 a)' for _ in range(9))})",
        "bad.txt, row 3: a node has 9 children; a nary",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_tree_is_refused_and_nothing_is_written(tmp_path, case):
    line, message = BAD[case]
    (tmp_path / "bad.txt").write_text(f"(1 (0 a) (1 b))\n(0 (0 a) (1 b))\n{line}\n")
    with pytest.raises(DataError, match=message):
        trained(tmp_path, tmp_path / "m", "bad.txt", valid_share=0)
    assert not (tmp_path / "m").exists()


def test_a_label_that_the_training_part_lacks(folder, tmp_path):
    (tmp_path / "new.txt").write_text("(4 good)\n(7 (4 good) (2 film))\n")
    with pytest.raises(DataError, match=r"new.txt, row 2: the label '7' does not occur in the training data"):
        trained(folder, tmp_path / "m", valid=tmp_path / "new.txt")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "lstm"}, "--cell: a tree network has no use for it"),
        ({"num_layers": 1}, "--num-layers: a tree network has no use for it"),
        ({"cell": "gru"}, "--cell: a tree network has no use for it"),
        ({"bidirectional": True}, "--bidirectional: a tree network has no use for it"),
        (
            {"pooling": "max"},
            r"--pooling: a tree network has no use for it \(--kind text reads plain sentences\)\. Leave it out",
        ),
        ({"tree_network": "narry"}, "--tree-network: expected one of nary, child-sum, recursive"),
        (
            {"max_children": 3, "tree_network": "child-sum"},
            "--max-children: a child-sum network takes any number of children",
        ),
        ({"max_children": 0}, "--max-children: expected a whole number of at least 1 and at most 64"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(folder, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        trained(folder, tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_an_artefact_changed_by_hand_is_refused(folder, tmp_path):
    from tests.cli.conftest import rewrite

    model = trained(folder, tmp_path / "m", valid_share=0)
    for change in ({"arity": 0}, {"most_nodes": "many"}, {"kind": "text"}, {"arity": 2**40}):
        inputs = json.loads((model.path / "inputs.json").read_text()) | change
        rewrite(model.path, "inputs.json", inputs)
        with pytest.raises(ModelDirectoryError):
            load(model.path)
        rewrite(model.path, "inputs.json", {"kind": "trees", "arity": 2, "most_nodes": 31})
    load(model.path)


def test_examples_are_found_by_their_rows(folder):
    from steploom.tasks.classify.task import ClassifyOptions
    from steploom.tasks.classify.trees import TreesKind

    examples = TreesKind.read(ClassifyOptions(), [folder / "train.txt", folder / "test.txt"], None, True)
    assert isinstance(examples, Examples) and len(examples) == 300
    assert examples.places[240] == (1, 1) and examples.file(299).name == "test.txt"
    assert TreesKind.knows(folder / "train.txt", (folder / "train.txt").read_bytes()[:100])
    assert not TreesKind.knows(folder / "train.csv", (folder / "train.txt").read_bytes()[:100])
