"""Matrices of a skeleton's graph, by which networks of skeletons sum over joints; numpy only.

Yan et al., "Spatial Temporal Graph Convolutional Networks" (2018), section 3.3, and Liu et al.,
"Disentangling and Unifying Graph Convolutions" (2020), sections 3.2 and 3.3.
"""

import numpy as np

from rac_jax.ops.skeletons import Layout


def adjacency(layout: Layout) -> np.ndarray:
    """float64 [V, V], 1 between neighbours."""
    found = np.zeros((len(layout.joints),) * 2)
    for a, b in layout.edges:
        found[a, b] = found[b, a] = 1
    return found


def reached(neighbours: np.ndarray, hops: int) -> np.ndarray:
    """float64 [V, V], 1 where one joint is reached from the other in at most so many hops."""
    with_self = neighbours + np.eye(len(neighbours))
    return np.minimum(np.linalg.matrix_power(with_self, hops), 1)


def hops_from(layout: Layout, start: tuple[int, ...]) -> np.ndarray:
    """[V] hops of every joint from the nearest of `start`.

    Raises:
      ValueError: if a joint is not joined to them.
    """
    neighbours, number = adjacency(layout), len(layout.joints)
    hops = np.full(number, -1)
    for distance in range(number):
        near = reached(neighbours, distance)[list(start)].max(0) > 0
        hops[near & (hops < 0)] = distance
    if (hops < 0).any():
        lost = layout.joints[int(np.argmin(hops))]
        raise ValueError(f"layout: {lost} is not joined to the others")
    return hops


def spatial_partition(layout: Layout) -> np.ndarray:
    """ST-GCN's three matrices: of a joint itself, of its outer and of its inner neighbours.

    Returns:
      float32 [3, V, V]: what joint w takes of joint v is [:, v, w]. Neighbours as far from the
      centre as the joint lie with the outer ones, as in the authors' code. All three together are
      the joint and its neighbours, divided by their number.
    """
    near = reached(adjacency(layout), 1)
    share = near / near.sum(0)  # [V, V]
    hops = hops_from(layout, layout.centre)
    itself = np.eye(len(hops), dtype=bool)
    inner = hops[:, None] < hops[None]
    parts = [itself, ~itself & ~inner, inner]
    return np.stack([np.where(part, share, 0) for part in parts]).astype(np.float32)


def scale_matrices(neighbours: np.ndarray, scales: int) -> np.ndarray:
    """MS-G3D's disentangled matrices: joints at exactly k hops and oneself, k from 0.

    Args:
      neighbours: [V, V], 1 between neighbours.
      scales: K.

    Returns:
      float32 [K, V, V], each normalised by the roots of the numbers of neighbours.
    """
    itself = np.eye(len(neighbours))
    found = [itself]
    for hops in range(1, scales):
        exactly = reached(neighbours, hops) - reached(neighbours, hops - 1) + itself
        root = 1 / np.sqrt(exactly.sum(-1))
        found.append(root[:, None] * exactly * root[None])
    return np.stack(found).astype(np.float32)


def window_graph(neighbours: np.ndarray, frames: int) -> np.ndarray:
    """Neighbours across a window of frames [frames · V, frames · V]: of every frame of it a
    joint's own neighbours and the joint itself."""
    return np.tile(neighbours + np.eye(len(neighbours)), (frames, frames))
