"""Marking the audible moments of a whole file, ours beside PyTorch: see `__main__`."""
