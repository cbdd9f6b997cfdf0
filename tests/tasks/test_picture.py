"""What pictures are made of."""

import pytest

from steploom.tasks.picture import shortened


@pytest.mark.parametrize(
    ("text", "shown"), [("", ""), ("12345678", "12345678"), ("123456789", "1234567…"), ("123456 89", "123456…")]
)
def test_long_labels_are_shortened(text, shown):
    assert shortened(text, 8) == shown
