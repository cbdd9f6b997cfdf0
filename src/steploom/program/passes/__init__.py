"""Rewrites of a program that keep its meaning, one a file."""
