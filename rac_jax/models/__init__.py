"""Flax Linen modules, one file per published family."""
