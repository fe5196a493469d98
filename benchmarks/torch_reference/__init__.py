"""The published networks in plain PyTorch, with the public parameter names.

They are what our Flax models are held to and raced against; they were written from the lists
of parameter names and shapes, and load the public checkpoints as they are.
"""
