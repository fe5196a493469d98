"""Ours and PyTorch side by side: what `rac bench` runs. Each side is a process of its own."""
