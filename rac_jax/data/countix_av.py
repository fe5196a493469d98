"""Countix-AV (Zhang, Shao and Snoek, CVPR 2021): the audible part of Countix, in Countix's form."""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import countix
from rac_jax.data.labels import Labels, Published, Videos

# Table 6: class to (train, validation, test) labelled parts and to their mean counts.
_TABLE_6 = {
    "battle rope training": ((57, 17, 41), (14, 10, 6)),
    "bouncing ball (not juggling)": ((63, 25, 41), (7, 9, 7)),
    "bouncing on trampoline": ((22, 7, 15), (6, 6, 5)),
    "clapping": ((16, 14, 37), (7, 7, 9)),
    "gymnastics tumbling": ((27, 6, 15), (4, 3, 4)),
    "juggling soccer ball": ((65, 23, 9), (11, 11, 9)),
    "jumping jacks": ((31, 16, 24), (7, 5, 5)),
    "mountain climber (exercise)": ((37, 12, 22), (10, 9, 10)),
    "planing wood": ((37, 16, 25), (5, 6, 5)),
    "playing ping pong": ((79, 25, 34), (3, 3, 3)),
    "playing tennis": ((42, 11, 24), (3, 3, 3)),
    "running on treadmill": ((51, 13, 24), (13, 13, 10)),
    "sawing wood": ((55, 12, 41), (9, 7, 7)),
    "skipping rope": ((62, 24, 36), (12, 11, 9)),
    "slicing onion": ((110, 40, 66), (12, 13, 11)),
    "swimming": ((80, 13, 32), (5, 5, 6)),
    "tapping pen": ((38, 12, 24), (19, 25, 24)),
    "using a wrench": ((22, 3, 9), (5, 3, 5)),
    "using a sledge hammer": ((93, 22, 43), (5, 5, 5)),
}
_TOTALS = (987, 311, 562)
PUBLISHED = {
    split: Published(
        "paper 1, Table 6",
        _TOTALS[index],
        {
            label: (parts[index], float(means[index]))
            for label, (parts, means) in _TABLE_6.items()
        },
    )
    for index, split in enumerate(("train", "val", "test"))
}
OPTIONS: tuple[str, ...] = ()


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads one of the CSV files, as `countix.read`."""
    return countix.read_parts(path, Videos(videos), PUBLISHED)
