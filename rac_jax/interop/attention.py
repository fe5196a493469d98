"""Attention's query, key and value: one tensor in PyTorch, three arrays here."""

import re
from collections.abc import Mapping

import numpy as np

QUERY_KEY_VALUE = ("query", "key", "value")


def split_attention(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A state dict with query, key and value apart."""
    found = {}
    for name, tensor in state.items():
        lead, joined, leaf = name.partition("in_proj_")
        if not joined:
            found[name] = tensor
            continue
        for part, own in zip(QUERY_KEY_VALUE, np.split(tensor, 3), strict=True):
            found[f"{lead}{part}.{leaf}"] = own
    return found


def join_attention(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict as PyTorch has it, query, key and value in one."""
    found = {}
    for name, tensor in state.items():
        part = re.fullmatch(r"(.*self_attn\.)(query|key|value)\.(weight|bias)", name)
        if part is None:
            found[name] = tensor
        elif part[2] == "query":
            lead, _, leaf = part.groups()
            own = [state[f"{lead}{each}.{leaf}"] for each in QUERY_KEY_VALUE]
            found[f"{lead}in_proj_{leaf}"] = np.concatenate(own)
    return found
