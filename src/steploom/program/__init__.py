"""From a cell to what engines run: the traced step, its backward step, and both arranged for a sequence."""
