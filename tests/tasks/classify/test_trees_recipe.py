"""A shortened recipe of docs/tasks/classify.md on the Stanford Sentiment Treebank."""

import pytest

from steploom.tasks.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.mark.parametrize(("network", "least"), [("nary", 0.80), ("child-sum", 0.80), ("recursive", 0.74)])
def test_sentences_of_the_treebank_in_two_epochs(shared_data, tmp_path, network, least):
    folder = shared_data / "sst-trees"
    model = train(
        "classify",
        folder / "train.txt.gz",
        tmp_path / "m",
        valid=folder / "dev.txt",
        test=folder / "test.txt",
        progress=False,
        relabel={"0": "negative", "1": "negative", "2": "", "3": "positive", "4": "positive"},
        tree_network=network,
        hidden_size=100,
        lower_case=True,
        batch_size=25,
        lr=3e-3,
        dropout=0.5,
        average=0.999,
        epochs=2,
    )
    scores = model.report["test"]
    assert scores["metrics"]["examples"] == 1821
    assert least < scores["metrics"]["accuracy"] < 0.90
    assert scores["baselines"]["majority"]["accuracy"] == pytest.approx(0.4992, abs=1e-3)
