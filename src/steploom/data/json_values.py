"""Values read from JSON that someone may have edited: of the right kind, or an error that names them."""

from __future__ import annotations

__all__ = ["read_text", "read_texts"]


def read_text(value: object, name: str) -> str:
    """`value`, a text.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"'{name}' should be text, found {value!r:.40}")
    return value


def read_texts(values: object, name: str) -> tuple[str, ...]:
    """`values`, a list of texts.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"'{name}' should be a list, found {values!r:.40}")
    return tuple(read_text(value, name) for value in values)
