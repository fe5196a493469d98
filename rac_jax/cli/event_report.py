"""What `rac evaluate` says of marked instants, beside the blind grid."""

import argparse
from collections.abc import Sequence
from typing import Any

from rac_jax.counting.instants import KINDS
from rac_jax.counting.result import CountResult
from rac_jax.data.annotations import Annotation

# The names of `event_scores.RULES`, which imports what a parser must do without.
RULES = ("one-to-one", "paper", "released")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    group = parser.add_argument_group("of events, where the labels have them")
    group.add_argument(
        "--event-rules",
        nargs="+",
        choices=RULES,
        metavar="RULE",
        help=f"how events are matched with labels, several of {', '.join(RULES)}: one label to "
        "one event, or as paper 4 and its authors' code have it",
    )
    group.add_argument(
        "--event-tolerance",
        type=_tolerance,
        metavar="MS",
        help="in milliseconds (default: 2 frames, 3 for released)",
    )
    group.add_argument(
        "--event-kind",
        choices=KINDS,
        default=KINDS[0],
        help="what a model's events are: its own (default), or where its cycles start or end",
    )


def _tolerance(text: str) -> float:
    """Seconds of a text of milliseconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return value / 1000


def check_labels(name: str, records: Sequence[Annotation]) -> None:
    """Checks that there is something to compare with.

    Raises:
      ValueError: if no record has events.
    """
    if all(record.events_s is None for record in records):
        raise ValueError(
            f"{name}: has no events to score, none of its rows has events_s"
        )


def of_result(record: Annotation, result: CountResult, kind: str) -> dict[str, Any]:
    """What is kept of a counted video for the report, ready for JSON.

    Returns:
      {"events": {"predicted_s", "labelled_s", "start_s", "duration_s", "fps"}}; without labelled
      events, or where the file does not say its frames per second, {}.

    Raises:
      ValueError: if the model marks no instants.
    """
    from rac_jax import media
    from rac_jax.counting.instants import instants

    if record.events_s is None:
        return {}
    predicted = instants(result, kind)
    if predicted is None:
        raise ValueError(f"{result.model}: gives no {kind}")
    fps = record.fps or media.probe(record.path).fps
    if not fps:
        return {}
    start_s, length_s = result.start_s, result.duration_s
    inside = [t for t in record.events_s.tolist() if start_s <= t <= start_s + length_s]
    return {
        "events": {
            "predicted_s": list(predicted),
            "labelled_s": inside,
            "start_s": start_s,
            "duration_s": length_s,
            "fps": fps,
        }
    }


def build(
    videos: Sequence[dict[str, Any]], rules: Sequence[str], tolerance_s: float | None
) -> dict[str, Any]:
    """Scores of all counted videos that have labelled events.

    Args:
      videos: of the report; those without "events" are passed over.
      rules: names of rules.
      tolerance_s: in seconds, None for each rule's own.

    Returns:
      {"rules": {rule: {"model", "blind grid": scores}}, "silent": {"n", "false_per_minute"}}; the
      second of videos in which no event is labelled.
    """
    import numpy as np

    from rac_jax.counting import event_scores

    marked, false, silent_s, silent = [], 0, 0.0, 0
    for one in (video["events"] for video in videos if "events" in video):
        if not one["labelled_s"]:
            silent, silent_s = silent + 1, silent_s + one["duration_s"]
            false += len(one["predicted_s"])
            continue
        fps, start_s = one["fps"], one["start_s"]

        def places(times_s: list[float], fps=fps, start_s=start_s) -> Any:
            return (np.asarray(times_s, np.float64) - start_s) * fps

        frames = max(1, round(one["duration_s"] * fps))
        marked.append(
            event_scores.MarkedVideo(
                places(one["predicted_s"]), places(one["labelled_s"]), frames, fps
            )
        )
    found = {}
    for rule in rules if marked else ():
        found[rule] = {
            "model": event_scores.summarise(marked, rule, tolerance_s),
            "blind grid": event_scores.blind_grid(marked, rule, tolerance_s),
        }
    per_minute = 60 * false / silent_s if silent_s else None
    return {"rules": found, "silent": {"n": silent, "false_per_minute": per_minute}}


def show(report: dict[str, Any]) -> None:
    """Prints what `build` gives."""
    for rule, rows in report["rules"].items():
        print(f"events, {rule}: {rows['model']['n']} videos")
        heads = ("recall", "precision", "F1", "NME", "PME", "bias ms", "MAE", "OBO")
        print(f"{'':14}" + "".join(f"{head:>10}" for head in heads))
        for name, row in rows.items():
            bias = row["bias_s"]
            cells = [row[key] for key in ("recall", "precision", "f1", "nme", "pme")]
            cells += [None if bias is None else 1000 * bias, row["mae"], row["obo"]]
            text = "".join(
                f"{'-' if cell is None else format(cell, '.3f'):>10}" for cell in cells
            )
            step = f"  (every {row['step']})" if "step" in row else ""
            print(f"{name:14}{text}{step}")
    silent = report["silent"]
    if silent["n"]:
        print(
            f"no event: {silent['n']} videos, "
            f"{silent['false_per_minute']:.2f} false events per minute"
        )
