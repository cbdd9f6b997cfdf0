"""Tag the words of sentences."""
