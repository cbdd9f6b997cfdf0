"""The tagger on CoNLL-2003, in a few minutes. Slow."""

import pytest

from steploom.tasks.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def test_entities_of_conll_2003_in_three_minutes(shared_data, tmp_path):
    folder = shared_data / "conll2003"
    parts = {"valid": folder / "eng.testa.gz", "test": folder / "eng.testb.gz"}
    options = {"hidden_size": 100, "batch_size": 32, "max_minutes": 3, "epochs": 8, "progress": False}
    model = train("tag", folder / "eng.train.gz", tmp_path / "m", **parts, **options)
    metrics, usual = (model.report["test"][kind] for kind in ("metrics", "baselines"))
    # As counted when the data were published (Tjong Kim Sang & De Meulder 2003).
    assert (metrics["words"], metrics["spans"]) == (46435, 5648)
    assert metrics["f1"] > usual["usual tag"]["f1"] + 0.1
    assert metrics["f1"] > 0.7
