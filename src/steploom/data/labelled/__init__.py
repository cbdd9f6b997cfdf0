"""Labelled examples: texts, arrays, trees and tagged sentences."""
