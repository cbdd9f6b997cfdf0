"""Classify texts, arrays and trees."""
