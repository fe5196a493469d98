"""UCF-101 (Soomro et al., 2012): the class of a short trimmed clip, by its official split lists.

`trainlist01.txt` has `Class/v_Class_g01_c01.avi N` per line, N counting classes from 1 in the
order of `classInd.txt`; `testlist01.txt` has no N. The class is the name of the folder. Where
`classInd.txt` lies beside a list, its names and numbers are checked: edited copies go round.
"""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Published, Videos

OPTIONS: tuple[str, ...] = ()
CLASSES = "classInd.txt"
FPS = 25.0  # section 2 of the authors' report
# Lines of the official lists of split 1.
PUBLISHED = {
    "train": Published("the official trainlist01", 9537),
    "test": Published("the official testlist01", 3783),
}


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a split list.

    Args:
      path: the list.
      videos: folder of the videos, None to read the labels alone.
      options: none.

    Returns:
      The records, whose counts are 0, the doubtful lines and the videos that are not there.

    Raises:
      OSError: if the list cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a list without a usable line.
    """
    found = Videos(videos)
    split = "train" if path.stem.lower().startswith("train") else "test"
    names = path.parent / CLASSES
    numbers = _numbers(names) if names.is_file() else {}
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for line, text in tables.read_lines(path):
        file, _, number = text.partition(" ")
        label, slash, name = file.rpartition("/")
        wrong = ""
        if not slash or not label:
            wrong = f"{file!r} has no folder that says its class"
        elif numbers and label not in numbers:
            wrong = f"{label!r} is no class of {CLASSES}"
        elif number.strip() and numbers and number.strip() != numbers[label]:
            wrong = (
                f"{label} is class {numbers[label]} of {CLASSES}, not {number.strip()}"
            )
        if wrong:
            problems.append(f"{path.name}:{line}: {wrong}")
            continue
        stem = pathlib.PurePath(name).stem
        files = found.find(stem)
        if not files and videos is not None:
            missing.add(len(records))
        records.append(
            Annotation(
                video_id=stem,
                path=str(files[0]) if files else found.unfound(file),
                count=0.0,
                split=split,
                label=label,
                fps=FPS,
            )
        )
    if not records:
        raise tables.wrong(path, 1, "has no line Class/video.avi")
    return Labels(tuple(records), tuple(problems), frozenset(missing), PUBLISHED)


def _numbers(path: pathlib.Path) -> dict[str, str]:
    """Numbers of the classes, as text, by name."""
    found = {}
    for line, text in tables.read_lines(path):
        number, _, name = text.partition(" ")
        if not number.isdigit() or not name.strip():
            raise tables.wrong(path, line, f"{text!r} is no number and class")
        found[name.strip()] = number
    return found
