"""Losses, metrics and training."""
