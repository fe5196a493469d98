"""Training: recipes of stages, one loop, pure sharded steps, exact checkpoints.

The names below are resolved on first use: importing this package imports no JAX.
"""

import importlib

_PUBLIC = {
    "Stopped": "rac_jax.train.loop",
    "StopSignal": "rac_jax.train.loop",
    "Trained": "rac_jax.train.training",
    "TrainingError": "rac_jax.train.loop",
    "train": "rac_jax.train.training",
}

__all__ = ["StopSignal", "Stopped", "Trained", "TrainingError", "train"]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rac_jax.train' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
