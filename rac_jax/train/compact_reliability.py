"""When to believe the ears: the two-stream gate of the compact counter, from counted scenes."""

import itertools

import numpy as np

COUNT_FLOOR = 1.0  # repetitions, so that scenes without any have an error too
SLOPES = (0.0, 5.0, 10.0, 20.0)
BIASES = np.linspace(-20, 20, 81)


def gate(weights: dict[str, float], sight: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """γ of Eq. 10 from the confidence of both streams, as the counter computes it. [N]"""
    logit = weights["bias"] + weights["sight"] * sight + weights["sound"] * sound
    return 1 / (1 + np.exp(-logit))


def fit(
    counts: dict[str, np.ndarray], confidence: dict[str, np.ndarray], truth: np.ndarray
) -> dict[str, float]:
    """Chooses the gate with the smallest mean relative error of the fused count.

    Three numbers and a count of scenes in the hundreds: all combinations of a grid are tried.

    Args:
      counts: {"sight", "sound"}: [N] counts of each stream.
      confidence: {"sight", "sound"}: [N] in [0, 1].
      truth: [N] repetitions, 0 where nothing repeats.

    Returns:
      {"bias", "sight", "sound"}; among equals the one that listens least.
    """
    best, least = {}, np.inf
    for sight, sound, bias in itertools.product(SLOPES, SLOPES, BIASES):
        weights = {"bias": float(bias), "sight": -sight, "sound": sound}
        gamma = gate(weights, confidence["sight"], confidence["sound"])
        fused = (1 - gamma) * counts["sight"] + gamma * counts["sound"]
        error = np.mean(np.abs(fused - truth) / np.maximum(truth, COUNT_FLOOR))
        error += 1e-3 * gamma.mean()
        if error < least:
            best, least = weights, error
    return best
