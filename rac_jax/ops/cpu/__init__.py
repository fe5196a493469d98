"""Lowerings written by hand for XLA:CPU: the same results as XLA's own operations, faster there.

Nothing here is needed to understand what a network computes. `ops.conv._convolve` chooses among
them; on other platforms XLA's own operations run.
"""
