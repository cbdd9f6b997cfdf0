"""Texts, pairs and sentences; vocabularies; batches of tokens."""
