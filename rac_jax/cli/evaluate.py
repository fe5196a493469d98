"""`rac evaluate`: a model's scores on videos whose counts are known, and those of runs."""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rac_jax.cli import event_report
from rac_jax.cli.count import complain_of_faults
from rac_jax.cli.items import attempt, describe, exit_code, terminable
from rac_jax.cli.options import add_model_arguments, counting_options
from rac_jax.cli.output import check_target, complain, json_text, write_text

# The labelled counts alone, or the evaluator that RepCount-A was published with as well.
SCORERS = ("labels", "published")


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac evaluate`; those of the model depend on the command line."""
    parser.add_argument(
        "labels",
        nargs="?",
        metavar="LABELS",
        help="columns file,start_s,end_s,count (paths relative to it), optionally alt_count "
        "where two answers are right, label, challenges and events_s with ';' between; other columns "
        "are groups; or an official data set, as in countix_av:FILE,videos=DIR (docs/data.md)",
    )
    parser.add_argument(
        "--group-by",
        metavar="COLUMN",
        help="also score the videos by this column's values, label or challenges",
    )
    parser.add_argument(
        "--scorer",
        choices=SCORERS,
        default=SCORERS[0],
        help="labels: the labelled counts alone (default); published: also as TransRAC's own "
        "evaluator scores RepCount-A, whose truth is not the labelled count",
    )
    parser.add_argument("--out", metavar="FILE.json", help="write everything as JSON")
    event_report.add_arguments(parser)
    trained = parser.add_argument_group("of training runs, instead of LABELS")
    trained.add_argument(
        "--runs",
        nargs="+",
        metavar="WORKDIR",
        help="the measurements of `rac train`, several as mean and spread",
    )
    trained.add_argument(
        "--curves",
        metavar="FILE",
        help="with --runs, draw their training curves (.png or .svg)",
    )
    trained.add_argument(
        "--sweep", metavar="NAME", help="a sweep's table beside the paper's numbers"
    )
    trained.add_argument("--workdir", metavar="DIR", help="of the sweep")
    add_model_arguments(parser, argv)


def run(args: argparse.Namespace) -> int:
    """Counts every labelled part and prints the table.

    Returns:
      0; 1 if a file failed (the others are scored); 2 if nothing could be started.
    """
    if sum(map(bool, (args.labels, args.runs, args.sweep))) != 1:
        complain("evaluate: give LABELS, --runs or --sweep, one of them")
        return 2
    if args.runs or args.sweep:
        from rac_jax.cli import runs

        return runs.evaluate(args)

    from rac_jax import counting
    from rac_jax.counting.ahead import call_ahead
    from rac_jax.data import datasets, transrac_target
    from rac_jax.models import loading

    try:
        if args.out:
            check_target(args.out)
        options = counting_options(args)
        records = datasets.read_found(args.labels, complain)
        if args.scorer == "published":
            # What it needs is looked for before anything is counted.
            transrac_target.compared(records, [0.0] * len(records))
        if args.event_rules:
            event_report.check_labels(args.labels, records)
    except (ValueError, OSError) as error:
        complain(describe("evaluate", error).removeprefix("evaluate: "))
        return 2
    if args.group_by and not all(args.group_by in _groups(r) for r in records):
        known = ", ".join(sorted(_groups(records[0]))) if records else ""
        complain(
            f"{args.labels}: has no column {args.group_by!r} to group by (it has: {known})"
        )
        return 2
    counting.enable_compilation_cache()
    try:
        counter = loading.load(args.model)
    except counting.ModelError as error:
        complain(error)
        return 2

    def count(record):
        return counter.count(
            record.path,
            start_s=record.start_s or 0.0,
            end_s=record.end_s,
            progress=sys.stderr.isatty(),
            **options,
        )

    events = args.event_kind if args.event_rules else None
    videos: list[dict[str, Any]] = []
    code = 0
    try:
        with terminable():
            for record, wait in call_ahead(count, records):
                videos.append(_score(record, wait, events))
    except KeyboardInterrupt as stop:
        complain(f"stopped; {len(videos)} of {len(records)} rows were counted")
        code = exit_code(stop)
    except ValueError as error:
        complain(f"evaluate: {error}")
        return 2
    report = build_report(videos, args.group_by)
    report["model"] = counter.config["name"]
    report["versions"] = _versions()
    if args.scorer == "published":
        known = [
            (record, video["predicted"])
            for record, video in zip(records, videos)
            if "predicted" in video
        ]
        if known:
            report["published"] = transrac_target.compared(*zip(*known, strict=True))
    if args.event_rules:
        report["events"] = event_report.build(
            videos, args.event_rules, args.event_tolerance
        )
    print_report(report)
    if args.out:
        _, reason = attempt(args.out, lambda: write_text(args.out, json_text(report)))
        if reason is not None:
            complain(reason)
            return code or 1
    return code or int(any("error" in video for video in videos))


def _groups(record) -> dict[str, list[str]]:
    """By column, the groups that a labelled part is in: one for each of its challenges."""
    groups = {name: [value] for name, value in record.groups.items()}
    groups["label"] = [record.label]
    return groups | {"challenges": list(record.challenges) or ["no challenge"]}


def _score(record, wait: Callable, events: str | None) -> dict[str, Any]:
    """Waits for one labelled part; an error is reported and becomes part of the record.

    Raises:
      ValueError: if the model gives no `events` of the kind that is to be scored.
    """
    video = {
        "file": record.path,
        "start_s": record.start_s,
        "end_s": record.end_s,
        "count": record.count,
        "alt_count": record.alt_count,
        "groups": _groups(record),
    }
    result, reason = attempt(record.path, wait)
    if result is None:
        complain(reason)
        return video | {"error": reason}
    if result.faults:
        complain_of_faults(result)
    marked = event_report.of_result(record, result, events) if events else {}
    return (
        video
        | marked
        | {
            "predicted": result.count,
            "streams": {stream.name: stream.count for stream in result.streams},
            "confidence": result.confidence,
            "details": dict(result.details),
            "seconds": result.seconds,
        }
    )


def build_report(
    videos: list[dict[str, Any]], group_by: str | None = None
) -> dict[str, Any]:
    """Scores of counted videos.

    Args:
      videos: dicts with "count", "alt_count", "groups" (by column, the groups a video is in), and
        "predicted" unless counting failed.
      group_by: a key of "groups".

    Returns:
      {"overall", "overall_alt", "negatives", "groups", "failed", "videos"}.
    """
    from rac_jax.counting import scores as evaluation

    counted = [video for video in videos if "predicted" in video]

    def scores(part, alternative=False):
        part = [video for video in part if video["count"] > 0]
        predicted = [video["predicted"] for video in part]
        labels = [
            evaluation.nearer(
                video["predicted"],
                video["count"],
                video["alt_count"] if alternative else None,
            )
            for video in part
        ]
        return evaluation.summarise(predicted, labels)

    def negatives(part):
        return evaluation.summarise_negatives(
            [video["predicted"] for video in part if video["count"] == 0]
        )

    values = (
        sorted({value for video in counted for value in video["groups"][group_by]})
        if group_by
        else []
    )
    members = {
        v: [video for video in counted if v in video["groups"][group_by]]
        for v in values
    }
    return {
        "overall": scores(counted),
        "overall_alt": scores(counted, alternative=True),
        "negatives": negatives(counted),
        "groups": {
            value: scores(part) | {"negatives": negatives(part)}
            for value, part in members.items()
        },
        "failed": len(videos) - len(counted),
        "videos": videos,
    }


def print_report(report: dict[str, Any]) -> None:
    """Prints a line per video and the summary."""
    import os

    streams = {name: None for v in report["videos"] for name in v.get("streams", {})}
    heads = ("count", "found", *streams, "sure")
    widths = [max(6, len(head)) for head in heads]

    def line(cells: Sequence[str]) -> str:
        pairs = zip(cells, widths, strict=True)
        return " ".join(f"{cell:>{width}}" for cell, width in pairs)

    print(line(heads) + "  file")
    for video in report["videos"]:
        said = video.get("streams", {})
        cells = [
            f"{video['count']:g}",
            _cell(video.get("predicted"), 1),
            *(_cell(said.get(name), 1) for name in streams),
            _cell(video.get("confidence"), 2),
        ]
        print(f"{line(cells)}  {os.path.basename(video['file'])}")
    print()
    _print_scores("overall", report["overall"])
    if any(video["alt_count"] is not None for video in report["videos"]):
        _print_scores("overall, nearer of two right answers", report["overall_alt"])
    for value, scores in report["groups"].items():
        _print_scores(value or "(empty)", scores)
    if report["negatives"]["n"]:
        print(
            f"no repetition: {report['negatives']['n']} videos, "
            f"mean count {report['negatives']['mean_count']:.2f}"
        )
    for name, scores in report.get("published", {}).items():
        print(
            f"as TransRAC's code scores, {name}: {scores['n']} videos, "
            f"MAE {scores['mae']:.3f}, OBO {scores['obo']:.3f}"
        )
    if "events" in report:
        event_report.show(report["events"])
    if report["failed"]:
        print(f"failed: {report['failed']} videos")


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _print_scores(name: str, scores: dict[str, Any]) -> None:
    if not scores["n"]:
        return
    cells = {}
    for key in ("mae", "mae_rounded", "obo"):
        low, high = scores[key + "_interval"]
        cells[key] = f"{scores[key]:.3f} [{low:.3f}, {high:.3f}]"
    print(
        f"{name}: {scores['n']} videos, MAE {cells['mae']}, "
        f"of rounded counts {cells['mae_rounded']}, OBO {cells['obo']}"
    )


def _versions() -> dict[str, str]:
    import jax

    import rac_jax

    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "rac_jax": rac_jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
