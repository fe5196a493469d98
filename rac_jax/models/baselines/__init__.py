"""Counters without learning."""
