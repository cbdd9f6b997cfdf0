"""Translation learnt from real captions, with a short budget. Minutes long."""

import pytest

from steploom.tasks.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def test_captions_of_multi30k(shared_data, tmp_path):
    """The small model of docs/tasks/translate.md, which reached 25.5 BLEU in three epochs."""
    folder, name = shared_data / "multi30k", "test_2016_flickr.lc.norm.tok"
    valid = []
    for side in ("de", "en"):
        lines = (folder / f"val.lc.norm.tok.{side}").read_text(encoding="utf-8").splitlines(True)[:250]
        valid.append(tmp_path / f"valid.{side}")
        valid[-1].write_text("".join(lines), encoding="utf-8")
    size = {"tie_embeddings": True, "embedding_size": 128, "hidden_size": 128, "dropout": 0.1}
    plan = {"lr": 3e-3, "average": 0.99, "warmup": 50, "epochs": 3, "progress": False}
    model = train(
        "translate",
        [folder / f"train.lc.norm.tok.{side}.gz" for side in ("de", "en")],
        tmp_path / "m",
        valid=valid,
        test=[folder / f"{name}.de", folder / f"{name}.en"],
        unit="words",
        min_count=4,
        **size,
        **plan,
    )
    scores = model.report["test"]
    assert scores["metrics"]["bleu"] > 20 > 10 > scores["baselines"]["copying"]["bleu"]
    assert scores["metrics"]["perplexity"] < 15
    assert model.report["engine"] == "native"
