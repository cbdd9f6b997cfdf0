"""A user's files become examples, and examples become batches."""
