"""Embed sentences."""
