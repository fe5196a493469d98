"""Counting a long video at the price of a part of it.

The whole sound track and the keyframes are previewed (`preview`), a policy says where it is worth
looking (`policy`), and the model counts there and nowhere else (`skimmer`). The result says what
share of the video was never looked at, and how likely it is that something that can be heard was
missed.
"""

import importlib

_PUBLIC = {
    "skim": "rac_jax.counting.skim.skimmer",
    "preview": "rac_jax.counting.skim.preview",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
