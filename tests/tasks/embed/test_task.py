"""The task `embed`, from running text to vectors and figures."""

import io
import json
import math
import random

import numpy as np
import pytest
import torch

from steploom.errors import DataError, OptionError
from steploom.tasks.embed import vectors as embed_vectors
from steploom.tasks.embed.pairs import agreement, ranks
from steploom.tasks.embed.ridge import STRENGTHS, fit_ridge, pair_features
from steploom.tasks.train import train
from steploom.tasks.trained import load

SMALL = {"hidden_size": 12, "embedding_size": 6, "decoder_size": 8, "dropout": 0.0, "epochs": 1, "progress": False}
WHO = ["man", "woman", "dog", "cat", "boy", "girl"]
DOES = ["walks", "runs", "sleeps", "eats"]
WHERE = ["in the park", "at home", "by the river", "on the road"]
NAMES = ["sentence_A", "sentence_B", "relatedness_score"]


def story(documents=20):
    chosen, lines = random.Random(0), []
    for _ in range(documents):
        who = chosen.choice(WHO)
        lines += [f"The {who} {chosen.choice(DOES)} {chosen.choice(WHERE)}." for _ in range(6)] + [""]
    return "\n".join(lines)


def scored(count, seed):
    chosen, rows = random.Random(seed), ["\t".join(NAMES)]
    for _ in range(count):
        first = [chosen.choice(words) for words in (WHO, DOES, WHERE)]
        second = [
            a if chosen.random() < 0.5 else chosen.choice(b) for a, b in zip(first, (WHO, DOES, WHERE), strict=True)
        ]
        same = sum(a == b for a, b in zip(first, second, strict=True))
        rows.append(f"The {' '.join(first)}\tThe {' '.join(second)}\t{1 + 4 * same / 3:.2f}")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("embed")
    (path / "story.txt").write_text(story())
    (path / "train.tsv").write_text(scored(60, 1))
    (path / "valid.tsv").write_text(scored(20, 2))
    (path / "test.tsv").write_text(scored(30, 3))
    (path / "lines.txt").write_text("The dog runs.\n\nA zebra sleeps in the park\n")
    return path


def trained(folder, out, name="story.txt", **options):
    return train("embed", folder / name, out, **{**SMALL, **options})


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    return trained(folder, tmp_path_factory.mktemp("m") / "model", epochs=3, lr=0.01, batch_size=16)


def test_the_neighbours_of_the_last_sentences_validate(model, folder):
    found = model.report["validation"]
    assert 1 < found["metrics"]["perplexity"] < 100 and found["metrics"]["unknown_share"] == 0
    assert found["baselines"]["unigram"]["perplexity"] > 1
    assert model.task.facts()["validation"] == "the last 5% of the text, 6 sentences"
    assert model.task.artefacts["text"]["sentences"] == 114


def test_the_perplexity_of_running_text_is_that_of_the_loss(model, folder):
    from steploom.data.text.neighbours import NeighbourBatches
    from steploom.data.text.sentence_text import read_documents

    found = model.evaluate(folder / "story.txt", running_text=True)
    vocabulary = model.task.vocabulary
    documents = read_documents([folder / "story.txt"], "split", split=False)
    numbers = [[vocabulary.encode(sentence) for sentence in document] for document in documents]
    batches = NeighbourBatches(numbers, vocabulary.begin, vocabulary.end, 7, 0)
    with torch.no_grad():
        losses = [model.network.loss(batches.batch(0, index), None) for index in range(len(batches))]
    nats = sum(float(loss.total) for loss in losses)
    assert found.metrics["targets"] == sum(int(loss.weight) for loss in losses)
    assert math.isclose(found.metrics["perplexity"], math.exp(nats / found.metrics["targets"]), rel_tol=1e-4)


def test_files_for_validation_and_test_are_taken(folder, tmp_path):
    model = trained(folder, tmp_path / "m", valid=folder / "story.txt", test=folder / "story.txt")
    assert model.task.artefacts["text"]["sentences"] == 120
    assert model.report["validation"]["metrics"] == model.report["test"]["metrics"]


def test_a_row_for_each_line(model, folder, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="steploom")
    found = model.predict(folder / "lines.txt")
    assert found.value.shape == (3, model.network.vector_size) and found.value.dtype == np.float32
    assert "1 blank line; it has a row" in caplog.text and "reads <unk> instead: 20.0% of the words" in caplog.text
    for name in ("v.npy", "v.csv", "v.jsonl", "v.tsv"):
        found.write(tmp_path / name)
    assert np.array_equal(np.load(tmp_path / "v.npy", allow_pickle=False), found.value)
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [row["sentence"] for row in rows] == ["The dog runs.", "", "A zebra sleeps in the park"]
    np.testing.assert_allclose([row["vector"] for row in rows], found.value, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "v.tsv"), found.value, rtol=1e-5, atol=1e-9)
    head, first = (tmp_path / "v.csv").read_text().splitlines()[:2]
    assert head.startswith("sentence,v0,v1,") and first.startswith("The dog runs.,")
    monkeypatch.setattr(embed_vectors, "_WORDS", 1)
    np.testing.assert_allclose(model.predict(folder / "lines.txt").value, found.value, rtol=1e-4, atol=1e-6)


def test_a_sentence_may_be_typed_or_come_from_standard_input(model, folder, monkeypatch):
    expected = model.predict(folder / "lines.txt").value
    np.testing.assert_allclose(model.predict(sentence="the DOG runs .").value, expected[:1], rtol=1e-4, atol=1e-6)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / "lines.txt").read_bytes())))
    np.testing.assert_array_equal(model.predict().value, expected)


def test_the_nearest_of_a_corpus(model, folder, tmp_path):
    found = model.predict(sentence="The dog runs", corpus=folder / "story.txt", nearest=3)
    corpus = (folder / "story.txt").read_text().split("\n")
    vectors = embed_vectors.vectors_of(model.task, model.network, ["The dog runs", *filter(None, corpus)])
    best = sorted(embed_vectors.cosine(vectors[:1], vectors[1:]).tolist(), reverse=True)[:3]
    assert [row["rank"] for row in found.value] == [1, 2, 3]
    np.testing.assert_allclose([row["cosine"] for row in found.value], best, atol=1e-5)
    assert all(corpus[row["line"] - 1] == row["neighbour"] for row in found.value)
    found.write(tmp_path / "n.csv")
    assert (tmp_path / "n.csv").read_text().splitlines()[0] == "sentence,rank,neighbour,line,cosine"
    assert found.text.count("\n") == 4


def test_sentences_without_a_word_are_said(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    model = trained(folder, tmp_path / "m", normalise="ptb")
    (tmp_path / "lines.txt").write_text("...\n\nthe dog\n(!)\n")
    vectors = model.predict(tmp_path / "lines.txt").value
    assert np.allclose(vectors[0], vectors[3]) and not np.allclose(vectors[0], vectors[2])
    assert "no word for --normalise ptb: 2 sentences, which all have the vector of no word" in caplog.messages


def test_a_table_that_is_read_as_text_is_said(model, folder, caplog):
    caplog.set_level("INFO", logger="steploom")
    path, whole = folder / "test.tsv", "read as text, whole lines as they stand, and not as its ending says"
    model.predict(path)
    model.evaluate(path, running_text=True)
    assert [said for said in caplog.messages if whole in said] == [
        f"{path}: {whole}; --pairs reads a table of pairs",
        f"{path}: {whole}",
    ]
    caplog.clear()
    model.predict(path, pairs=True)
    assert whole not in caplog.text


def test_the_similarity_of_pairs(model, folder, tmp_path):
    found = model.predict(folder / "test.tsv", pairs=True)
    rows = [line.split("\t")[:2] for line in (folder / "test.tsv").read_text().splitlines()[1:]]
    first, second = (embed_vectors.vectors_of(model.task, model.network, side) for side in zip(*rows, strict=True))
    expected = torch.nn.functional.cosine_similarity(first, second)
    np.testing.assert_allclose([row["cosine"] for row in found.value], expected, atol=1e-5)
    assert list(found.value[0]) == ["sentence_A", "sentence_B", "cosine"]
    found.write(tmp_path / "p.jsonl")
    assert json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0]) == found.value[0]
    numbered = tmp_path / "pairs.csv"
    numbered.write_text("a dog,a cat\n")
    assert list(model.predict(numbered, pairs=True, first=1, second=2).value[0]) == ["column 1", "column 2", "cosine"]
    numbered.write_text("cosine,b\na dog,a cat\n")
    row = model.predict(numbered, pairs=True, first="cosine", second="b").value[0]
    assert row == {"cosine": "a dog", "b": "a cat", "cosine of the vectors": row["cosine of the vectors"]}


def test_scored_pairs(model, folder, tmp_path):
    found = model.evaluate(folder / "test.tsv", pairs_train=folder / "train.tsv", pairs_valid=folder / "valid.tsv")
    assert found.metrics["pairs"] == 30 and found.metrics["unknown_share"] == 0
    assert set(found.baselines) == {"bag of words", "random encoders"}
    names = {f"{name}_{kind}" for kind in ("ridge", "cosine") for name in ("pearson", "spearman", "mse")}
    for figures in (found.metrics, *found.baselines.values()):
        assert names <= set(figures) and figures["pearson_ridge"] > 0.5 and figures["mse_ridge"] < 2.5
    found.write(tmp_path / "scored.csv")
    rows = [line.split(",") for line in (tmp_path / "scored.csv").read_text().splitlines()]
    assert rows[0] == [*NAMES, "cosine", "predicted"]
    given, said = (torch.tensor([float(row[place]) for row in rows[1:]]) for place in (2, 4))
    assert math.isclose(agreement(said, given)["pearson"], found.metrics["pearson_ridge"], abs_tol=1e-5)
    found.write(tmp_path / "scored.jsonl")
    objects = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [list(map(str, row.values())) for row in objects] == rows[1:] and list(objects[0]) == rows[0]
    (tmp_path / "said.tsv").write_text("\t".join(NAMES) + '\n"The dog" saw\tit\t1\na cat\tit\t2\n')
    model.evaluate(tmp_path / "said.tsv", random_encoders=0).write(tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text().splitlines()[1].startswith('"The dog" saw\tit\t1.0\t')
    again = model.evaluate(folder / "test.tsv", random_encoders=0)
    assert list(again.baselines) == ["bag of words"]
    assert again.metrics["pearson_cosine"] == found.metrics["pearson_cosine"]
    assert not {"pearson", "pearson_ridge"} & set(again.metrics)


def test_scored_pairs_are_written_under_the_names_of_the_users_columns(model, tmp_path):
    rows = "\na dog\ta cat\t1\na dog\tthe dog\t2\n"
    (tmp_path / "own.tsv").write_text("one\tpredicted\tcosine" + rows)
    named = {"first": "one", "second": "predicted", "score": "cosine", "random_encoders": 0}
    path = tmp_path / "own.tsv"
    model.evaluate(path, pairs_train=path, **named).write(tmp_path / "out.tsv")
    head = (tmp_path / "out.tsv").read_text().splitlines()[0].split("\t")
    assert head == ["one", "predicted", "cosine", "cosine of the vectors", "predicted by the regression"]
    path.write_text(rows[1:])
    model.evaluate(path, first=1, second=2, score=3, random_encoders=0).write(tmp_path / "out.tsv")
    head = (tmp_path / "out.tsv").read_text().splitlines()[0].split("\t")
    assert head == ["column 1", "column 2", "column 3", "cosine"]


def test_the_cosine_is_scaled_without_a_look_at_the_scores_that_are_told(model, folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")

    def error(**options):
        return model.evaluate(folder / "test.tsv", random_encoders=0, **options).metrics.get("mse_cosine")

    assert error() is None and "no squared error of the cosine: say the scale" in caplog.text
    lines = (folder / "train.tsv").read_text().splitlines()
    place = lines[0].split("\t").index("relatedness_score")
    scores = [float(line.split("\t")[place]) for line in lines[1:]]
    given = error(score_range=(min(scores), max(scores)))
    assert error(pairs_train=folder / "train.tsv") == given
    assert error(score_range=(-90, 90), pairs_train=folder / "train.tsv") == error(score_range=[-90, 90]) > given
    for wrong in ((5, 1), (1, 2, 3), (1,)):
        with pytest.raises(OptionError, match="--score-range: expected two numbers, the lesser one first, found"):
            error(score_range=wrong)


def test_no_sentence_is_cut_at_the_edge_of_the_picture(model, tmp_path):
    from matplotlib.image import imread

    lines = ["W" * 70, "in the park, " * 9, "靜夜思" * 30, "The dog runs."] * 2
    (tmp_path / "long.txt").write_text("\n".join(lines), encoding="utf-8")
    model.plot(tmp_path / "a.png", tmp_path / "long.txt")
    picture = imread(tmp_path / "a.png")[..., :3]
    for edge in (picture[:, 0], picture[:, -1], picture[0], picture[-1]):
        assert (edge == 1).all()


@pytest.mark.parametrize(("count", "less"), [(1, ""), (2, ""), (3, ", less the mean vector")])
def test_the_title_says_what_was_subtracted(model, tmp_path, monkeypatch, count, less):
    from steploom.tasks.embed import plot as embed_plot

    drawn = []
    monkeypatch.setattr(embed_plot, "write_picture", lambda figure, path, dpi: drawn.append(figure))
    (tmp_path / "a.txt").write_text("\n".join(["The dog runs.", "The cat sleeps.", "A bird sings."][:count]))
    model.plot(tmp_path / "a.png", tmp_path / "a.txt")
    assert drawn[0].axes[0].get_title().replace("\n", " ") == f"a.txt: cosine of their vectors{less}"


@pytest.mark.parametrize("count", [3, 4, 7, 16])
def test_the_title_is_no_wider_than_the_matrix(tmp_path, monkeypatch, model, count):
    from steploom.tasks.embed import plot as embed_plot

    drawn = []
    monkeypatch.setattr(embed_plot, "write_picture", lambda figure, path, dpi: drawn.append(figure))
    (tmp_path / "sentences.txt").write_text("The dog runs.\n" * count)
    model.plot(tmp_path / "a.png", tmp_path / "sentences.txt")
    drawn[0].canvas.draw()
    axes = drawn[0].axes[0]
    title, matrix = axes.title.get_window_extent(), axes.get_window_extent()
    assert matrix.x0 <= title.x0 < title.x1 <= matrix.x1


def test_sentences_that_are_cut_in_an_evaluation_are_said(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    (tmp_path / "long.txt").write_text("the dog ran\nthe dog ran to the cat\n" * 20)
    model = train("embed", tmp_path / "long.txt", tmp_path / "m", **{**SMALL, "max_words": 4, "valid_share": 0.0})
    caplog.clear()
    model.evaluate(tmp_path / "long.txt", running_text=True)
    assert "cut after the 4 words of --max-words that the model was trained with: 20 of 40 sentences" in caplog.text


def test_random_encoders_leave_the_random_state_alone(model, folder):
    state = torch.random.get_rng_state()
    first = model.evaluate(folder / "test.tsv", random_encoders=2).baselines["random encoders"]
    assert torch.equal(state, torch.random.get_rng_state())
    torch.rand(1)
    assert model.evaluate(folder / "test.tsv", random_encoders=2).baselines["random encoders"] == first


def test_a_bag_is_the_mean_of_its_words(model):
    numbers = model.task.vocabulary.encode("the dog zebra")
    bags = embed_vectors.bags_of(model.task, model.network, ["The dog zebra", ""])
    torch.testing.assert_close(bags[0], model.network.embedding.weight[numbers].mean(0).detach())
    assert not bags[1].any()


def test_agreement_is_that_of_numpy():
    found, scores = torch.tensor([1.0, 2.0, 2.0, 5.0, 3.0]), torch.tensor([0.0, 3.0, 1.0, 4.0, 4.0])
    said = agreement(found, scores)
    assert math.isclose(said["pearson"], np.corrcoef(found, scores)[0, 1])
    assert ranks(found).tolist() == [1, 2.5, 2.5, 5, 4] and ranks(scores).tolist() == [1, 3, 2, 4.5, 4.5]
    assert math.isclose(said["spearman"], np.corrcoef(ranks(found), ranks(scores))[0, 1])
    assert said["mse"] == 1
    assert agreement(torch.ones(3), torch.arange(3))["pearson"] == 0
    noise = torch.tensor([0.0, 2e-16, -1e-9, 0.0, 3e-8], dtype=torch.float64)
    assert agreement(found.double() * (1 - noise) + 2e-8, scores)["spearman"] == said["spearman"]


@pytest.mark.parametrize("features", [3, 40])
def test_ridge_regression_is_the_one_of_the_normal_equations(features):
    torch.manual_seed(0)
    x, y = torch.randn(20, features, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    x[:, 1] = 7
    ridge = fit_ridge(x, y)
    z = (x - x.mean(0)) / torch.where(x.std(0, correction=0) > 0, x.std(0, correction=0), 1)

    def fitted(z, y, strength):
        return torch.linalg.solve(z.t() @ z + strength * torch.eye(features), z.t() @ (y - y.mean()))

    torch.testing.assert_close(ridge.weight, fitted(z, y, ridge.strength))
    torch.testing.assert_close(ridge(x), z @ fitted(z, y, ridge.strength) + y.mean())

    def left_out(strength):
        """The error of each pair when the regression with its intercept is fitted to the others."""
        total, penalty = 0.0, torch.diag(torch.tensor([0.0] + [strength] * features))
        ones = torch.cat([torch.ones(20, 1), z], -1).double()
        for place in range(20):
            rest = torch.arange(20) != place
            weight = torch.linalg.solve(ones[rest].t() @ ones[rest] + penalty.double(), ones[rest].t() @ y[rest])
            total += float(ones[place] @ weight - y[place]) ** 2
        return total

    assert ridge.strength == min(STRENGTHS, key=left_out)


def test_the_strength_may_be_chosen_on_other_pairs():
    torch.manual_seed(0)
    x = torch.randn(30, 4, dtype=torch.float64)
    y = x[:, 0] + 0.1 * torch.randn(30)
    assert fit_ridge(x[:15], y[:15], (x[15:], y[15:])).strength < 1
    assert fit_ridge(x[:15], y[:15], (x[15:], torch.full((15,), float(y[:15].mean())))).strength == STRENGTHS[-1]


def test_features_of_a_pair():
    assert pair_features(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]])).tolist() == [[2, 3, 3, -2]]


def test_a_model_comes_back_from_its_directory(model, folder):
    again = load(model.path)
    assert np.array_equal(again.predict(folder / "lines.txt").value, model.predict(folder / "lines.txt").value)
    assert again.evaluate(folder / "test.tsv").metrics == model.evaluate(folder / "test.tsv").metrics


def test_a_cell_of_the_users_own(folder, tmp_path, own_cell):
    model = trained(folder, tmp_path / "m", cell=own_cell, num_layers=2)
    assert model.report["engine"] == "native"
    again = load("m", cell=own_cell)
    assert np.array_equal(again.predict(sentence="The dog").value, model.predict(sentence="The dog").value)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "last", "bidirectional": False, "cell": "lstm"},
        {"pooling": "max", "tie_embeddings": True, "word_dropout": 0.3, "dropout": 0.3},
        {"pooling": "mean", "normalise": "ptb", "variational": True, "dropout": 0.2, "residual": True},
        {"split_sentences": True, "vocabulary_size": 10, "max_words": 3, "valid_share": 0},
    ],
)
def test_other_options_train(folder, tmp_path, options):
    model = trained(folder, tmp_path / "m", **options)
    assert np.isfinite(model.predict(sentence="The dog runs.").value).all()


def test_pictures(model, folder, tmp_path):
    model.plot(tmp_path / "a.png", folder / "lines.txt")
    model.plot(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG") and (tmp_path / name).stat().st_size > 5000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a\xe9\n", "row 1: byte 0xe9 is not UTF-8"),
        (b"A single line.\n", "no sentence has a neighbour: 1 sentence. Give running text"),
        (b"One.\n\nTwo.\n\nThree.\n", "no sentence has a neighbour: 3 sentences, each a document"),
    ],
)
def test_a_text_that_cannot_be_used_leaves_nothing(tmp_path, content, message):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        train("embed", tmp_path / "bad.txt", tmp_path / "m", **SMALL)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("sentence_A\tsentence_B\n", {}, "--score: the first row of .* has no 'relatedness_score'"),
        ("sentence1\tsentence2\tscore\n", {}, "--first: .* has no 'sentence_A'; .* Did you mean 'sentence1'"),
        ("sentence1\tsentence2\n", {"first": "sentence1"}, "--second: .* Did you mean 'sentence2'"),
        ("\t".join(NAMES) + "\na\tb\tmuch\n", {}, "row 2, column 'relatedness_score': expected a score, a number"),
        ("\t".join(NAMES) + "\na\tb\t1\nc\td\t1\n", {}, "expected two different scores or more, found 1"),
        (None, {"pairs_valid": "train.tsv"}, "--pairs-valid: .* Give --pairs-train too"),
        (None, {"running_text": True, "pairs_train": "train.tsv"}, "--pairs-train: --running-text scores running text"),
        (None, {"first": "1"}, "expected names, or numbers for all"),
        (None, {"second": "sentence_A"}, "--second: 'sentence_A' is the first sentence's column too"),
        (None, {"pairs_train": "none.tsv"}, "none.tsv: there is no such file"),
        (None, {"random_encoders": -1}, "--random-encoders: expected a whole number of at least 0"),
    ],
)
def test_what_evaluate_refuses(model, folder, tmp_path, monkeypatch, content, options, message):
    monkeypatch.chdir(folder)
    if content is not None:
        (tmp_path / "bad.tsv").write_text(content)
    with pytest.raises((DataError, OptionError), match=message):
        model.evaluate("test.tsv" if content is None else tmp_path / "bad.tsv", **options)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("lines.txt", {"sentence": "x"}, "--sentence: the sentences come from"),
        (None, {"sentence": " "}, "--sentence: expected a sentence, found no word"),
        (None, {}, "standard input is empty: name a file with a sentence a line"),
        (None, {"pairs": True}, "--pairs: which pairs"),
        (None, {"pairs": True, "sentence": "x"}, "--sentence: --pairs reads a table"),
        ("test.tsv", {"pairs": True, "corpus": "story.txt"}, "--corpus: --pairs compares"),
        ("test.tsv", {"nearest": 2}, "--nearest: .* Give their file with --corpus"),
        ("lines.txt", {"corpus": "none.txt"}, "none.txt: there is no such file"),
        ("lines.txt", {"pairs": True}, "--first: the first row"),
    ],
)
def test_what_predict_refuses(model, folder, monkeypatch, data, options, message):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    with pytest.raises((DataError, OptionError), match=message):
        model.predict(data, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "sum"}, "--pooling: expected one of last, mean, max, all, found 'sum'"),
        ({"vocabulary_size": 3}, "--vocabulary-size: expected a whole number of at least 4"),
        ({"min_count": 10_000}, "--min-count: no token stands 10000 times"),
        ({"word_dropout": 1}, "--word-dropout: expected a number"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(folder, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        trained(folder, tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()
