"""Side-by-side runs against PyTorch; not part of the package."""
