"""Sight and sound (paper 1)."""
