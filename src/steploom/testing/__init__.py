"""Whether a cell keeps the laws that every layer, engine and task relies on."""

from steploom.testing.check import check_cell

__all__ = ["check_cell"]
