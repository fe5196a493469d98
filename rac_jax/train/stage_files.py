"""What one training stage leaves for the next: trees of arrays in files."""

import os
import pathlib
from typing import Any

import jax
import numpy as np
import safetensors.numpy


def save_tree(path: pathlib.Path, tree: Any) -> None:
    """Writes the arrays of a tree, whole or not at all.

    Args:
      path: a `.safetensors` file.
      tree: any tree of arrays; its structure is not stored.
    """
    leaves = jax.tree.leaves(jax.device_get(tree))
    tensors = {str(i): np.array(leaf, order="C") for i, leaf in enumerate(leaves)}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    safetensors.numpy.save_file(tensors, draft)
    os.replace(draft, path)


def load_tree(path: pathlib.Path, like: Any) -> Any:
    """Reads what `save_tree` wrote.

    Args:
      path: the file.
      like: a tree of the same structure and shapes.

    Returns:
      The tree.

    Raises:
      ValueError: if the file holds another tree.
    """
    leaves, structure = jax.tree.flatten(like)
    tensors = safetensors.numpy.load_file(path)
    if len(tensors) != len(leaves):
        raise ValueError(
            f"{path}: holds {len(tensors)} arrays, {len(leaves)} are wanted"
        )
    loaded = [tensors[str(i)] for i in range(len(leaves))]
    for i, (value, leaf) in enumerate(zip(loaded, leaves, strict=True)):
        if value.shape != np.shape(leaf):
            raise ValueError(
                f"{path}: array {i} is {value.shape}, {np.shape(leaf)} is wanted"
            )
    return jax.tree.unflatten(structure, loaded)
