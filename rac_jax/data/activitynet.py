"""ActivityNet 1.3 (Caba Heilbron et al., 2015): when which activity happens in a long video.

Its JSON is `{"database": {ID: {subset, duration, annotations: [{segment: [start, end], label}]}},
"taxonomy": ..., "version": ...}`; the database alone is read, too. A record per segment: segments
of one video may overlap and have several labels, and are taken as they stand. A segment without a
length, such as [0, 0], is doubtful and left out. Videos of the test set have no annotations: one
record each, without a label. Files may be called `v_ID` or `ID`; many are gone from YouTube.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Videos

SUBSETS = {"training": "train", "validation": "val", "testing": "test"}
SPLIT = "split"
OPTIONS: tuple[str, ...] = (SPLIT,)


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads the JSON.

    Args:
      path: of it.
      videos: folder of the videos, None to read the labels alone.
      options: `split`: "train", "val" or "test", of which alone the videos are wanted.

    Returns:
      The records, whose counts are 0, the doubtful segments and the videos that are not there.

    Raises:
      OSError: if it cannot be read.
      ValueError: naming the file and the field, if it is no such JSON; for another split.
    """
    wanted = options.get(SPLIT)
    if wanted is not None and wanted not in SUBSETS.values():
        known = ", ".join(SUBSETS.values())
        raise ValueError(f"{path}: split={wanted} is not one of {known}")
    found = Videos(videos)
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for name, video in _database(path).items():
        subset = _field(path, name, video, "subset", str)
        if subset not in SUBSETS:
            known = ", ".join(SUBSETS)
            raise ValueError(
                f"{path.name}: {name}: subset {subset!r} is not of {known}"
            )
        if wanted not in (None, SUBSETS[subset]):
            continue
        files = found.find(f"v_{name}") or found.find(name)
        duration_s = video.get("duration")
        segments = _field(path, name, video, "annotations", list)
        for place, segment in enumerate(segments or [{}]):
            span: tuple[float | None, float | None] = (None, None)
            label = ""
            if segments:
                where = f"{path.name}: {name}: annotation {place}"
                span, label, what = _segment(where, segment, duration_s)
                problems += [f"{where}: {what}"] if what else []
                if span is None:
                    continue
            if not files and videos is not None:
                missing.add(len(records))
            records.append(
                Annotation(
                    video_id=name,
                    path=str(files[0]) if files else found.unfound(f"v_{name}.mp4"),
                    count=0.0,
                    start_s=span[0],
                    end_s=span[1],
                    split=SUBSETS[subset],
                    label=label,
                )
            )
    if not records:
        raise ValueError(f"{path.name}: has no segment that can be used")
    return Labels(tuple(records), tuple(problems), frozenset(missing))


def _database(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name}: is not JSON ({error})") from None
    if isinstance(content, dict):
        content = content.get("database", content)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path.name}: database: must be an object of videos")
    return content


def _field(path: pathlib.Path, name: str, video: Any, field: str, kind: type) -> Any:
    if not isinstance(video, dict) or not isinstance(video.get(field), kind):
        what = {str: "a text", list: "a list"}[kind]
        wrong = f"{path.name}: {name}: {field}: must be {what}"
        raise ValueError(wrong)  # noqa: TRY004, one kind of error for a file
    return video[field]


def _segment(
    where: str, segment: Any, duration_s: Any
) -> tuple[tuple[float, float] | None, str, str]:
    """(start and end, None if it cannot be used; label; what is doubtful about it, or "")."""
    if not isinstance(segment, dict) or not isinstance(segment.get("label"), str):
        wrong = f"{where}: label: must be a text"
        raise ValueError(wrong)  # noqa: TRY004, one kind of error for a file
    span = segment.get("segment")
    if (
        not isinstance(span, list)
        or len(span) != 2
        or not all(type(t) in (int, float) and math.isfinite(t) for t in span)
    ):
        raise ValueError(f"{where}: segment: must be [start, end] in seconds")
    start_s, end_s = map(float, span)
    text = f"[{start_s:g}, {end_s:g}]"
    if start_s < 0 or end_s <= start_s:
        return None, segment["label"], f"segment {text} has no length"
    over = type(duration_s) in (int, float) and end_s > duration_s + 1.0
    what = f"segment {text} ends after the video, {duration_s:g} s" if over else ""
    return (start_s, end_s), segment["label"], what
