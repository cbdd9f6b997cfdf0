"""Engines: what runs a cell over a sequence."""
