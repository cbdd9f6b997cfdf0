"""Recurrent cells: the equations of one time step, one family a file, in plain PyTorch."""
