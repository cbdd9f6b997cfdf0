"""The networks between a batch and a loss."""
