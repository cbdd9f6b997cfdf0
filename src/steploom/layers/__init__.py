"""Layers: modules over whole sequences."""
