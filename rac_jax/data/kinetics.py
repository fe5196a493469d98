"""Kinetics-400, -600 and -700 (Kay et al., 2017): the class of ten seconds of a YouTube video.

Its CSV has `label,youtube_id,time_start,time_end,split`, one clip per line, times in seconds of
the whole video; test files may have no label. A clip may be there as Kinetics' tools cut it,
`<youtube_id>_<start>_<end>.mp4` with six digits each, or as the whole video, `<youtube_id>.mp4`;
in any folder below the given one, with any suffix of a video. `split=train` takes the rows of
one split; a folder of clips sorted into folders by their class needs no CSV (`datasets.read`).
"""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import SPLITS, Labels, Videos, split_of

COLUMNS = ("youtube_id", "time_start", "time_end")
SPLIT = "split"
OPTIONS: tuple[str, ...] = (SPLIT,)
# What the releases call the second split.
ALIASES = SPLITS | {"validate": "val", "validation": "val"}


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads one of the CSV files.

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
    found = LabelledClips(path, Videos(videos), options.get(SPLIT))
    for line, row in tables.read_rows(path, COLUMNS):
        split = row.get(SPLIT, "").strip()
        label = row.get("label", "").strip()
        name = row["youtube_id"].strip()
        try:
            start_s = tables.number(path, line, row, "time_start") or 0.0
            end_s = tables.number(path, line, row, "time_end")
            if end_s is None or end_s <= start_s:
                end = "empty" if end_s is None else f"{end_s:g}"
                what = f"time_end {end} is not after time_start {start_s:g}"
                raise tables.wrong(path, line, what)
        except ValueError as error:
            found.problems.append(str(error))
            continue
        cut = f"{name}_{start_s:06.0f}_{end_s:06.0f}"
        found.add(name, cut, label, (start_s, end_s), split or split_of(path))
    return found.labels()


class LabelledClips:
    """Collects the records of clips with a class, and finds their files.

    Args:
      path: of the labels, for messages.
      videos: where the files are.
      split: of which alone the clips are wanted, None for all.

    Attributes:
      problems: doubtful rows, see `Labels`.

    Raises:
      ValueError: for a split that there is not.
    """

    def __init__(self, path: pathlib.Path, videos: Videos, split: str | None):
        if split is not None and split not in ALIASES:
            known = ", ".join(sorted(set(ALIASES.values())))
            raise ValueError(f"{path}: split={split} is not one of {known}")
        self._path, self._videos = path, videos
        self._split = None if split is None else ALIASES[split]
        self._records: list[Annotation] = []
        self._missing: set[int] = set()
        self.problems: list[str] = []

    def add(
        self, name: str, cut: str, label: str, span: tuple[float, float], split: str
    ) -> None:
        """Adds a clip, if it is of the wanted split.

        Args:
          name: of the whole video's file, without suffix.
          cut: of the file of the clip alone.
          label: its class, "" if unknown.
          span: start and end in seconds of the whole video.
          split: as its source calls it.
        """
        split = ALIASES.get(split.lower(), split)
        if self._split is not None and split != self._split:
            return
        alone, whole = self._videos.find(cut), self._videos.find(name)
        file = (alone or whole or [None])[0]
        if file is None and self._videos.folder is not None:
            self._missing.add(len(self._records))
        start_s, end_s = (None, None) if alone else span
        self._records.append(
            Annotation(
                video_id=cut,
                path=str(file or self._videos.unfound(f"{name}.mp4")),
                count=0.0,
                start_s=start_s,
                end_s=end_s,
                split=split,
                label=label,
            )
        )

    def labels(self) -> Labels:
        """All that was added.

        Raises:
          ValueError: if a wanted split has no row.
        """
        if self._split is not None and not self._records and not self.problems:
            raise ValueError(f"{self._path}: has no row of the split {self._split}")
        return Labels(
            tuple(self._records), tuple(self.problems), frozenset(self._missing)
        )
