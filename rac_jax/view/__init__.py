"""Looking at a result: plots, annotated videos, pages."""
