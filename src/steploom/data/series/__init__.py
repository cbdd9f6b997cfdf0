"""Tables become time series on a regular grid, and series become windows."""
