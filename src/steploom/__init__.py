"""Steploom: write one step; run the sequence."""
