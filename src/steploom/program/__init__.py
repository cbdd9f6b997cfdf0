"""From a cell to what engines run: the traced step (program), its backward step (derivative), and both arranged (plan)."""
