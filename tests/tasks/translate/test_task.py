"""The task `translate`, from pairs of lines to figures."""

import json
import math

import pytest
import torch

from steploom.errors import DataError, OptionError
from steploom.tasks.train import resume, train
from steploom.tasks.trained import load
from steploom.tasks.translate import scores as translate_scores
from steploom.tasks.translate.scores import bleu_and_chrf, looks_tokenised
from tests.docs.files import write_files

SMALL = {"hidden_size": 12, "dropout": 0.0, "progress": False, "epochs": 1, "batch_size": 32}
GOOD = {**SMALL, "hidden_size": 32, "epochs": 12, "lr": 0.02, "unit": "words"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs")
    write_files(path)
    return path


def trained(folder, out, **options):
    return train("translate", [folder / "train.fr", folder / "train.en"], out, **{**SMALL, **options})


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    return trained(folder, tmp_path_factory.mktemp("m") / "good", **GOOD)


@pytest.fixture(scope="module")
def blind(folder, tmp_path_factory):
    return trained(folder, tmp_path_factory.mktemp("m") / "blind", attention="none", unit="words")


def files(folder):
    return [folder / "test.fr", folder / "test.en"]


def test_it_learns_and_is_far_above_copying(model, folder):
    scores = model.evaluate(files(folder))
    assert scores.metrics["bleu"] > 70 > 5 > scores.baselines["copying"]["bleu"]
    assert scores.metrics["chrf"] > scores.baselines["copying"]["chrf"]
    assert model.predict(text="Le chat noir voit un chien blanc .").value == ["The black cat sees a white dog ."]


def test_the_training_perplexity_knows_no_smoothing(model):
    """With it, none could be below 1.9, though the network is sure of nearly all tokens."""
    assert model.task.options.label_smoothing == 0.1
    last = json.loads((model.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["train_perplexity"] < 1.5 and last["train_perplexity"] == pytest.approx(math.exp(last["train_loss"]))


def test_every_20th_pair_validates_and_the_vocabularies_are_those_of_the_rest(model):
    pairs = model.task.artefacts["pairs"]
    assert pairs["validation"] == "every 20th pair, 20 pairs" and pairs["count"] == 380
    assert model.task.facts()["vocabulary"] == "18 and 19 words"
    assert pairs["source_tokens"] == 380 * 9


def test_perplexity_is_that_of_the_reference_token_by_token(monkeypatch, model, folder):
    metrics = model.evaluate(files(folder)).metrics
    languages, network, total, count = model.task.languages, model.network, 0.0, 0
    sides = [(folder / f"test.{side}").read_text().splitlines() for side in ("fr", "en")]
    for source, target in zip(*sides, strict=True):
        read = torch.tensor(languages.source_tokens(source))[:, None]
        token = languages.begin
        with torch.no_grad():
            state = network.encode(read, torch.tensor([len(read)]))
            for following in [*languages.target_tokens(target), languages.end]:
                logits, state = network.step(torch.tensor([token]), state)
                total -= float(logits.log_softmax(-1)[0, following])
                token, count = following, count + 1
    assert metrics["tokens"] == count
    assert math.isclose(metrics["perplexity"], math.exp(total / count), rel_tol=1e-4)
    monkeypatch.setattr(translate_scores, "_PAIRS", 7)
    assert math.isclose(model.evaluate(files(folder)).metrics["perplexity"], metrics["perplexity"], rel_tol=1e-5)


@pytest.mark.parametrize(
    "options", [{"num_beams": 1}, {"num_beams": 3, "num_return_sequences": 3, "coverage_penalty": 0.2}]
)
def test_the_decoding_batch_has_no_influence(model, folder, options):
    text = "\n".join((folder / "test.fr").read_text().splitlines()[:9]) + "\nLe chat\nun\n"
    whole = model.predict(text=text, **options).value
    assert model.predict(text=text, batch_size=1, **options).value == whole
    assert model.predict(text=text, batch_size=5, **options).value == whole


def test_a_line_out_a_line_in_and_blank_lines_stay(model, folder, tmp_path):
    (tmp_path / "in.txt").write_text("\nLe chat noir voit un chien vert .\n\n  \nLe vin blanc voit un chat noir .\n")
    found = model.predict(tmp_path / "in.txt")
    lines = found.text.split("\n")
    assert [bool(line) for line in lines] == [False, True, False, False, True, False]
    assert found.value == lines[:-1]
    best = model.predict(tmp_path / "in.txt", num_return_sequences=2)
    assert [len(texts) for texts in best.value] == [2] * 5
    assert best.text.split("\n")[2] == lines[1]
    assert len(best.text.split("\n")) == 11


def test_where_fewer_translations_exist_blank_ones_keep_the_count(model, folder):
    # One token at most, and of these only the best few are among the beams.
    found = model.predict(text="Le chat\nun", num_beams=5, num_return_sequences=5, max_new_tokens=1).value
    assert [len(texts) for texts in found] == [5, 5]


def test_jsonl_holds_scores_and_attention(model, folder, tmp_path):
    found = model.predict(text="Le vin blanc voit un chat noir .", attention=True, num_return_sequences=2)
    found.write(tmp_path / "x.JSONL")
    (row,) = [json.loads(line) for line in (tmp_path / "x.JSONL").read_text().splitlines()]
    assert row["tokens"] == ["Le", "vin", "blanc", "voit", "un", "chat", "noir", ".", "<eos>"]
    best, second = row["translations"]
    assert best["text"] == found.value[0][0] and best["score"] >= second["score"]
    assert math.isclose(best["score"], best["log_prob"] / len(best["tokens"]), rel_tol=1e-5)
    assert len(best["attention"]) == len(best["tokens"]) and len(best["attention"][0]) == len(row["tokens"])
    assert all(math.isclose(sum(step), 1, abs_tol=1e-2) for step in best["attention"])


def test_a_model_comes_back_from_its_directory(model, folder):
    again = load(model.path)
    assert again.predict(folder / "test.fr").text == model.predict(folder / "test.fr").text


def test_the_longest_translation_follows_from_the_source(blind):
    lengths = [len(text.split()) for text in blind.predict(text="Le\nLe vin blanc voit un chat noir .").value]
    ratio = blind.task.artefacts["pairs"]["target_tokens"] / blind.task.artefacts["pairs"]["source_tokens"]
    assert lengths[0] <= math.ceil(2 * ratio * 2) + 20
    assert all(len(text.split()) <= 3 for text in blind.predict(text="Le vin", max_new_tokens=3).value)


@pytest.mark.parametrize("num_beams", [1, 2])
def test_the_least_tokens_hold_where_the_source_is_short(model, num_beams):
    (text,) = model.predict(text="Le", min_new_tokens=60, num_beams=num_beams).value
    assert len(text.split()) >= 60


@pytest.mark.parametrize(
    "options",
    [
        {"unit": "bpe", "vocabulary_size": 300, "shared_vocabulary": True, "tie_embeddings": True},
        {"unit": "characters", "attention": "additive", "attend": "before"},
        {"unit": "words", "attention": "dot", "encoder_size": 6, "input_feeding": True},
        {"unit": "words", "hard": True, "cell": "gru"},
        {"unit": "words", "forcing": "scheduled", "sampling_schedule": "linear", "sampling_epochs": 0.5},
        {"unit": "words", "forcing": "professor", "bidirectional": False, "num_layers": 2, "encoder_layers": 1},
        {"unit": "words", "forcing": "free", "lower_case": True, "cell": "lstm-peephole"},
    ],
)
def test_the_options_reach_the_network(folder, tmp_path, options):
    model = trained(folder, tmp_path / "m", **options)
    network, kinds = model.network, {"additive": "AdditiveAttention"}
    assert network.forcing == options.get("forcing", "teacher")
    assert network.tied == options.get("tie_embeddings", False)
    attention = network.decoder.attention
    assert type(attention).__name__ == (
        "HardAttention" if options.get("hard") else kinds.get(options.get("attention"), "MultiplicativeAttention")
    )
    assert network.decoder.feeds == options.get("input_feeding", False)
    assert (network.encoder.embedding is network.decoder.embedding) == options.get("shared_vocabulary", False)
    assert network.encoder.recurrent.stack.directions == 1 + options.get("bidirectional", True)
    assert len(model.predict(folder / "test.fr", num_beams=2).value) == 40
    if options.get("forcing") == "scheduled":
        assert network.schedule.updates == 6 and network.schedule.kind == "linear"
    if options.get("lower_case"):
        assert model.predict(text="LE VIN").value == model.predict(text="le vin").value


@pytest.mark.parametrize(
    "options", [{"forcing": "scheduled", "sampling_epochs": 3}, {"forcing": "professor"}, {"hard": True}]
)
def test_a_training_that_goes_on_is_one_that_never_stopped(folder, tmp_path, options):
    """Bit by bit, with what these modes count and draw."""
    plan = {"unit": "words", "schedule": "constant", "dropout": 0.2, "hidden_size": 6, **options}
    whole = trained(folder, tmp_path / "whole", **{**plan, "epochs": 3})
    trained(folder, tmp_path / "parts", **{**plan, "epochs": 1})
    parts = resume(tmp_path / "parts", epochs=3, progress=False)
    rows = [
        [json.loads(row) for row in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (tmp_path / "whole", tmp_path / "parts")
    ]
    for one, other in zip(*rows, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    mine = parts.network.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in whole.network.state_dict().items())


def test_a_table_and_a_dialogue(folder, tmp_path):
    columns = {"source_column": "question", "target_column": "answer"}
    model = train("translate", folder / "dialogue.tsv", tmp_path / "m", **{**GOOD, "epochs": 8}, **columns)
    (answer,) = model.predict(text="Is the dog black ?").value
    assert answer in ("Yes , the dog is black .", "No , it is not black .")
    (tmp_path / "asked.tsv").write_text("id\tquestion\n1\tIs the dog black ?\n")
    assert model.predict(tmp_path / "asked.tsv").value == [answer]
    assert "bleu" in model.evaluate(folder / "dialogue.tsv").metrics


def test_the_picture_says_what_it_shows(model, blind, folder, tmp_path, monkeypatch):
    from steploom.tasks.translate import plot as translate_plot

    drawn = []
    monkeypatch.setattr(translate_plot, "write_picture", lambda figure, path, dpi: drawn.append(figure))
    model.plot(tmp_path / "a.png", folder / "test.fr")
    model.plot(tmp_path / "b.png")
    blind.plot(tmp_path / "c.png", folder / "test.fr")
    assert [figure.get_suptitle() for figure in drawn[:2]] == [
        f"{part}: where the model looks while it writes" for part in ("test.fr", "validation part")
    ]
    *grids, bar = drawn[0].axes
    assert [grid.get_title(loc="left") for grid in grids] == [f"example {n}" for n in range(1, 7)]
    assert (drawn[0].get_supxlabel(), drawn[0].get_supylabel()) == ("token read", "token written")
    assert bar.get_ylabel() == "share of the attention (all grids alike)" and bar.get_ylim() == (0, 1)
    assert drawn[2].axes[0].get_title(loc="left") == "test.fr: what the model reads (grey) and what it writes"


def test_a_model_may_learn_to_copy_one_file(folder, tmp_path):
    one = folder / "train.fr"
    assert train("translate", [one, one], tmp_path / "m", unit="words", **SMALL).report["validation"]["metrics"]


def test_the_columns_of_a_table_are_found_said_and_kept(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    rows = [f"{n}; eins zwei {n};one two {n}" for n in range(6)]
    (tmp_path / "T.CSV").write_text("\n".join(["id;src;tgt", *rows]) + "\n")
    options = {**SMALL, "unit": "words", "valid_every": 0}
    model = train("translate", tmp_path / "T.CSV", tmp_path / "m", **options)
    assert "the source stands in column src, the target in column tgt\n" in caplog.text
    assert model.task.artefacts["pairs"]["count"] == 6
    assert "column src" in model.task.facts()["training pairs"]
    (tmp_path / "other.tsv").write_text("tgt\tsrc\none\teins\ntwo\tzwei\n")
    again = load(model.path)
    assert len(again.predict(tmp_path / "other.tsv").value) == 2
    assert again.evaluate(tmp_path / "other.tsv").metrics["sentences"] == 2
    (tmp_path / "other.tsv").write_text("target\tsource\none\teins\n")
    with pytest.raises(DataError, match="there is no column 'src', which the training had"):
        again.evaluate(tmp_path / "other.tsv")
    (tmp_path / "plain.tsv").write_text("\n".join(rows).replace(";", "\t") + "\n")
    plain = train("translate", tmp_path / "plain.tsv", tmp_path / "plain", **options)
    assert "column number 1, the target in column number 2; the first row is a pair, and no header" in caplog.text
    assert plain.task.artefacts["pairs"]["count"] == 6


def test_long_pairs_are_left_out_and_long_lines_clipped(folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    words = ["le", "vin", "chat", "noir", "un", "deux"]
    rows = [f"{' '.join(words[:n])}\t{' '.join(words[:n])}" for n in (1, 2, 3, 4, 5, 6)]
    (tmp_path / "t.tsv").write_text("\n".join(rows) + "\n")
    model = train("translate", tmp_path / "t.tsv", tmp_path / "m", unit="words", max_length=4, valid_every=0, **SMALL)
    assert "left out of the training: 2 of 6 pairs with more than 4 words on a side (--max-length)" in caplog.text
    assert model.task.artefacts["pairs"]["count"] == 4 and model.task.artefacts["pairs"]["left_out"] == 2
    long = model.predict(text="vin\n" + " ".join(words)).value
    assert (
        "--text: clipped to the 4 tokens of --max-length that the model was trained with: 1 of 2 lines" in caplog.text
    )
    assert long[1] == model.predict(text=" ".join(words[:4])).value[0]
    (tmp_path / "l.tsv").write_text("a b c d e\ta\n")
    with pytest.raises(DataError, match=r"l.tsv: every pair has more than 4 words on a side. Raise --max-length"):
        train("translate", tmp_path / "l.tsv", tmp_path / "n", unit="words", max_length=4, **SMALL)


def test_unknown_words_are_said(model, caplog):
    caplog.set_level("INFO", logger="steploom")
    model.predict(text="Le zébu noir")
    assert "unknown to the model, which reads <unk> instead: 1 of 3 source tokens" in caplog.text


def test_pictures_with_and_without_attention(model, blind, folder, tmp_path):
    for number, (kind, data) in enumerate([(model, None), (model, folder / "test.fr"), (blind, folder / "test.fr")]):
        path = tmp_path / f"{number}.png"
        kind.plot(path, data)
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    (tmp_path / "long.txt").write_text("vin " * 50)
    with pytest.raises(DataError, match=r"no line of at most 40 tokens to draw"):
        model.plot(tmp_path / "no.png", tmp_path / "long.txt")


def test_evaluate_writes_the_translations_and_says_how_bleu_was_counted(model, folder, tmp_path, caplog):
    caplog.set_level("INFO", logger="steploom")
    scores = model.evaluate(files(folder))
    scores.write(tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == model.predict(folder / "test.fr").text
    assert "BLEU by sacrebleu, tokenize=none: punctuation stands apart in the references already" in caplog.text
    scores.write(tmp_path / "out.jsonl")
    columns = [(folder / name).read_text().splitlines() for name in ("test.fr", "test.en")]
    expected = zip(*columns, (tmp_path / "out.txt").read_text().splitlines(), strict=True)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == [{"source": s, "reference": r, "text": t} for s, r, t in expected]
    other = model.evaluate(files(folder), tokenize="char").metrics
    assert other["bleu"] != scores.metrics["bleu"] and other["chrf"] == scores.metrics["chrf"]


def test_scores_are_those_of_sacrebleu():
    assert bleu_and_chrf(["a b c d ."], ["a b c d ."], "none") == {"bleu": pytest.approx(100), "chrf": 100}
    import sacrebleu

    made, wanted = ["the cat sat on a mat .", "dogs bark"], ["the cat sat on the mat .", "the dog barks"]
    found = bleu_and_chrf(made, wanted, "13a")
    assert found["bleu"] == sacrebleu.corpus_bleu(made, [wanted]).score
    assert found["chrf"] == sacrebleu.corpus_chrf(made, [wanted]).score


def test_tokenised_text_is_seen():
    assert looks_tokenised(["a dog .", "is it ?", "no end"])
    assert not looks_tokenised(["A dog.", "Is it?", "So ."])
    assert not looks_tokenised(["no", "end"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "none", "hard": True}, "--hard is for an attention. Leave it out"),
        ({"attend": "before", "input_feeding": True}, "--input-feeding is for --attend after"),
        ({"sampling_floor": 0.2}, "--sampling-floor is for --forcing scheduled"),
        ({"feedback": "sample"}, "--feedback is for --forcing scheduled or free"),
        ({"entropy": 0.2}, "--entropy is for --hard"),
        ({"professor_weight": 2}, "--professor-weight is for --forcing professor"),
        ({"unit": "letters"}, "--unit: expected one of bpe, words, characters, found 'letters'"),
        ({"label_smoothing": 1}, "--label-smoothing: expected a number of at least 0 and less than 1"),
        ({"attention": "dot", "unit": "words"}, "dot attention needs a query and a memory of one size"),
        ({"unit": "bpe", "vocabulary_size": 20}, "--vocabulary-size: expected 257 or more"),
    ],
)
def test_options_that_do_not_fit_leave_nothing(folder, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        trained(folder, tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_return_sequences": 6}, "--num-return-sequences: 5 beams give 5 at most, found 6"),
        ({"num_beams": 1, "length_penalty": 2}, "--length-penalty: it is for beam search"),
        ({"length_penalty": 21}, "length_penalty: expected a number from -20 to 20"),
        ({"coverage_penalty": 1}, "--coverage-penalty: this model was trained with --attention none"),
        ({"attention": True}, "--attention: this model was trained with --attention none"),
        ({"min_new_tokens": 5, "max_new_tokens": 3}, "--min-new-tokens: 5 is more than --max-new-tokens 3"),
    ],
)
def test_what_decoding_refuses(blind, options, message):
    with pytest.raises(OptionError, match=message):
        blind.predict(text="Le vin", **options)


def test_a_file_and_a_text_are_too_much(blind, folder):
    with pytest.raises(OptionError, match=r"--text: the lines come from .*test.fr already"):
        blind.predict(folder / "test.fr", text="Le vin")
