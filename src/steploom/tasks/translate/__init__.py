"""Translate lines into lines."""
