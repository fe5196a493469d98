"""The compact counter."""
