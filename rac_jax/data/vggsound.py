"""VGGSound (Chen et al., 2020): the class of ten seconds of a YouTube video, heard and seen.

Its CSV has no header; the columns are YouTube's name, the first second, the label and the split,
"train" or "test". A clip may be there cut out, `<id>_<start>.mp4` with six digits, as the
authors' list names it, or with start and end as Kinetics is cut, or as the whole video,
`<id>.mp4`; in any folder below the given one, with any suffix. `split=train` takes the rows of
one split.
"""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.kinetics import SPLIT, LabelledClips
from rac_jax.data.labels import Labels, Videos

COLUMNS = ("youtube_id", "start", "label", "split")
SECONDS = 10.0  # of every clip
OPTIONS: tuple[str, ...] = (SPLIT,)


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads the CSV file.

    Args:
      path: the CSV.
      videos: folder of the videos, None to read the labels alone.
      options: `split`, of which alone the rows are wanted.

    Returns:
      The records, whose counts are 0, the doubtful rows and the videos that are not there.

    Raises:
      OSError: if the CSV cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table, or a split without a row.
    """
    folder = Videos(videos)
    found = LabelledClips(path, folder, options.get(SPLIT))
    for line, row in tables.read_rows(path, COLUMNS, header=COLUMNS):
        name, label = row["youtube_id"].strip(), row["label"].strip()
        try:
            start_s = tables.number(path, line, row, "start")
            if start_s is None or not label:
                empty = "start" if start_s is None else "label"
                raise tables.wrong(path, line, f"{empty} is empty")
        except ValueError as error:
            found.problems.append(str(error))
            continue
        end_s = start_s + SECONDS
        cut = f"{name}_{start_s:06.0f}"
        as_kinetics = f"{cut}_{end_s:06.0f}"
        cut = as_kinetics if folder.find(as_kinetics) else cut
        found.add(name, cut, label, (start_s, end_s), row["split"].strip())
    return found.labels()
