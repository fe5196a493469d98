"""`rac data`: statistics of labels beside published ones, and a check of the videos."""

import argparse
import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rac_jax.cli.arguments import whole_number
from rac_jax.cli.output import complain

if TYPE_CHECKING:
    from rac_jax.data.annotations import Annotation
    from rac_jax.data.labels import Labels, Published

DATA_SET = (
    "NAME:FILE[,videos=DIR] with NAME one of countix, countix_av, extreme_countix_av, ucfrep, "
    "or a CSV with file,start_s,end_s,count"
)
# The check looks at moving pictures only as far as that they can be decoded.
CHECK_SIZE = 32
CHECK_AUDIO_RATE = 8000
# A frame may lie a little before or after an annotated end.
SLACK_S = 0.1
# A repetition that is seen fewer times cannot be told from one of another period.
LEAST_FRAMES = 2.0


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the commands of `rac data`."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    stats = commands.add_parser(
        "stats", help="labelled parts and mean counts, beside published numbers"
    )
    stats.add_argument("data", nargs="+", metavar="DATA", help=DATA_SET)
    stats.set_defaults(act=_stats)
    check = commands.add_parser(
        "check", help="find missing, undecodable, silent and too short videos"
    )
    check.add_argument("data", nargs="+", metavar="DATA", help=DATA_SET)
    check.add_argument(
        "--workers",
        type=whole_number,
        default=2,
        metavar="N",
        help="videos that are decoded at a time (default: 2)",
    )
    check.set_defaults(act=_check)


def run(args: argparse.Namespace) -> int:
    """Runs the chosen action.

    Returns:
      0; 1 if `check` found a video that cannot be used; 2 if the labels could not be read.
    """
    try:
        return args.act(args)
    except (ValueError, OSError) as error:
        complain(error)
        return 2


def _stats(args: argparse.Namespace) -> int:
    from rac_jax.data import datasets

    for name in args.data:
        labels = datasets.read(name)
        print("\n".join(stats_lines(name, labels)))
        for problem in labels.problems:
            complain(problem)
    return 0


def stats_lines(name: str, labels: "Labels") -> list[str]:
    """The statistics of one annotation file.

    Args:
      name: of the data set, as the user gave it.
      labels: of it.

    Returns:
      Lines: the totals, then a row per class (or per challenge, where the videos have those) with
      the labelled parts and their mean count beside the published ones, "*" where they differ.
      Published means are whole numbers; a mean differs if it rounds to another one.
    """
    records = labels.annotations
    split = next((record.split for record in records), "")
    # A source with one file for all its videos publishes one table, without a split.
    published = labels.published.get(split) or labels.published.get("")
    videos = len({record.path for record in records})
    groups = _groups(records, published)
    total = sum(record.count for record in records)
    summary = f"{name}: {len(records)} labelled parts of {videos} videos, "
    summary += f"{total:g} repetitions, {len(labels.problems)} doubtful rows"
    if labels.without_video:
        summary += f", {len(labels.missing)} videos missing"
    known = dict(published.groups) if published else {}
    width = max([len("all"), *map(len, known), *map(len, groups)])
    heads = "parts   mean"
    if published:
        heads += f"   {published.source}: parts   mean"
    lines = [summary, f"{'':{width}}  {heads}"]
    rows: dict[str, tuple[list[float], tuple[int, float | None] | None]] = {
        label: (groups.get(label, []), known.get(label))
        for label in sorted({*groups, *known})
        # A file without classes says nothing of how many there are of each.
        if groups
    }
    stated_total = (published.videos, None) if published else None
    rows["all"] = ([record.count for record in records], stated_total)
    # The published columns end under their heads.
    at = len(published.source) + 2 if published else 0
    for label, (counts, stated) in rows.items():
        mean = sum(counts) / len(counts) if counts else None
        cells = f"{len(counts):5} {_mean(mean, 2)}"
        if published and (known or label == "all"):
            cells += " " * (3 + at) + _beside(len(counts), mean, stated)
        lines.append(f"{label:{width}}  {cells}".rstrip())
    return lines


def _groups(
    records: Iterable["Annotation"], published: "Published | None"
) -> dict[str, list[float]]:
    """Counts by class, or by challenge where the videos have those.

    A class that is published as a part of a wider one ("swimming" of "swimming front crawl")
    is counted there.
    """
    records = list(records)
    known = published.groups if published else {}
    by_challenge = any(record.challenges for record in records)
    groups: dict[str, list[float]] = collections.defaultdict(list)
    for record in records:
        for name in record.challenges if by_challenge else (record.label,):
            if name not in known:
                wider = (k for k in known if name.startswith(f"{k} "))
                name = next(wider, name)
            if name:
                groups[name].append(record.count)
    return groups


def _mean(value: float | None, digits: int) -> str:
    return f"{'-':>6}" if value is None else f"{value:6.{digits}f}"


def _beside(
    number: int, mean: float | None, stated: tuple[int, float | None] | None
) -> str:
    """Published cells, each with a "*" where ours differs."""
    if stated is None:
        return f"{'-':>5}* {'-':>6}"
    parts, published_mean = stated
    cells = f"{parts:5}{'*' if parts != number else ' '} {_mean(published_mean, 0)}"
    if published_mean is None or mean is None:
        return cells
    # Halves may have been rounded either way.
    return cells + ("*" if abs(mean - published_mean) > 0.5 else "")


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with one labelled part.

    Attributes:
      kind: "undecodable", "silent" or "short".
      what: a line that names the file.
    """

    kind: str
    what: str


def _check(args: argparse.Namespace) -> int:
    from rac_jax.data import datasets

    unusable = False
    for name in args.data:
        labels = datasets.read(name, need_videos=True)
        missing = [*labels.missing]
        records = []
        for record in labels.found:
            # Of a plain CSV nobody has looked yet.
            if os.path.isfile(record.path):
                records.append(record)
            else:
                missing.append(record.path)
        missing = list(dict.fromkeys(missing))
        lines: dict[str, list[str]] = {"missing": missing}
        lines |= {"undecodable": [], "short": [], "silent": []}
        # Decoding leaves the interpreter's lock for most of its time, so threads will do.
        with concurrent.futures.ThreadPoolExecutor(args.workers) as pool:
            for faults in pool.map(faults_of, records):
                for fault in faults:
                    lines[fault.kind].append(fault.what)
        for kind, found in lines.items():
            for what in found:
                print(f"{kind}: {what}")
        for problem in labels.problems:
            print(f"doubtful: {problem}")
        print(_summary(name, len(labels.annotations), lines, len(labels.problems)))
        unusable |= any(lines[kind] for kind in ("missing", "undecodable", "short"))
    return int(unusable)


def _summary(
    name: str, number: int, lines: Mapping[str, Sequence[str]], doubtful: int
) -> str:
    cells = ", ".join(
        f"{len(lines[kind])} {what}"
        for kind, what in (
            ("missing", "videos missing"),
            ("undecodable", "undecodable"),
            ("short", "too short"),
            ("silent", "silent"),
        )
    )
    return f"{name}: {number} labelled parts, {cells}, {doubtful} doubtful rows"


def faults_of(record: "Annotation") -> list[Fault]:
    """Decodes a labelled part and says what is wrong with it.

    Args:
      record: of the part; its file is there.

    Returns:
      Nothing if all is well. "short" is a part that ends before its annotated end, or with less
      than two frames per repetition; "silent" one without sound, or with digital silence.
    """
    from rac_jax.data import sources

    try:
        video = sources.decode_part(record, CHECK_SIZE, CHECK_AUDIO_RATE)
    except ValueError as error:
        return [Fault("undecodable", str(error))]
    faults = []
    seconds = len(video.frames) / video.fps
    start_s = record.start_s or 0.0
    place = f"{record.path} from {start_s:g} s"
    if record.end_s is not None:
        wanted = record.end_s - start_s
        if seconds < wanted - SLACK_S - 1 / video.fps:
            what = f"{place}: has {seconds:.2f} s of the annotated {wanted:.2f}"
            faults.append(Fault("short", what))
    if not faults and record.count * LEAST_FRAMES > len(video.frames):
        what = (
            f"{place}: has {len(video.frames)} frames for {record.count:g} repetitions"
        )
        faults.append(Fault("short", what))
    if video.waveform is None:
        faults.append(Fault("silent", place))
    return faults
