"""Projects of quic/sense (`tools/sense_studio`) as a data set: labels, and cycles from their tags.

What a project is, and how two tags or one are repetitions: `phase_tags`.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from rac_jax.data import phase_tags
from rac_jax.data.annotations import Annotation
from rac_jax.data.label_folders import videos_by_label
from rac_jax.data.labels import SPLITS, Labels

SPLIT, LABEL = "split", "label"
OPTIONS: tuple[str, ...] = (SPLIT, LABEL)
# Its folders by split.
FOLDERS = {"train": "train", "val": "valid"}


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a project.

    Args:
      path: its folder, or the `project_config.json` in it.
      videos: where `videos_train` and `videos_valid` lie, if not in the project.
      options: `split`, train or val, and `label`, of which alone the videos are wanted.

    Returns:
      The records. Of a label with one or two tags there are cycles, and their number is the
      count; of one without tags there are none. A video that nobody has tagged yet, and a label
      with more tags, are told and left out.

    Raises:
      OSError: if a file cannot be read.
      ValueError: naming the file and the field that is wrong.
    """
    folder = path if path.is_dir() else path.parent
    split, label = options.get(SPLIT), options.get(LABEL)
    classes = phase_tags.project_classes(folder, label)
    if split is not None and SPLITS.get(split) not in FOLDERS:
        raise ValueError(f"{path}: split={split} is not one of {', '.join(FOLDERS)}")
    if label is not None and label not in classes:
        raise ValueError(f"{path}: label={label} is not one of {', '.join(classes)}")
    records: list[Annotation] = []
    problems: list[str] = []
    for name, ids in classes.items():
        if len(ids) > 2:
            problems.append(
                f"{folder / phase_tags.PROJECT}: {name} has {len(ids)} tags; a repetition is "
                "two positions, or its end alone"
            )
    for own, ending in FOLDERS.items():
        root = pathlib.Path(videos or folder) / f"videos_{ending}"
        if (split is not None and SPLITS[split] != own) or not root.is_dir():
            continue
        found, odd = videos_by_label(root)
        problems += odd
        for name, file in found:
            if label is not None and name != label:
                continue
            if name not in classes:
                problems.append(f"{file}: {name!r} is no label of the project")
                continue
            tags = folder / f"tags_{ending}" / name / f"{file.stem}.json"
            ids = classes[name]
            if ids and not tags.exists():
                problems.append(f"{file}: has no tags in {tags}")
            elif len(ids) <= 2:
                cycles = phase_tags.tagged_cycles(tags, ids) if ids else ()
                records.append(_record(name, file, cycles, own))
    if not records:
        raise ValueError(f"{path}: has no video that can be used")
    return Labels(tuple(records), tuple(problems))


def _record(
    label: str, file: pathlib.Path, cycles: tuple[phase_tags.Marks, ...], split: str
) -> Annotation:
    marks = np.array(cycles, np.float64).reshape(-1, 3)
    return Annotation(
        video_id=f"{label}/{file.stem}",
        path=str(file),
        count=float(len(marks)),
        split=split,
        label=label,
        cycles_s=marks[:, [0, 2]],
        turns_s=marks[:, 1],
    )
