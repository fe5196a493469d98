"""Hand-written lowerings for XLA:CPU."""
