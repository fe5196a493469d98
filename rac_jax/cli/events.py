"""`rac events`: when something should be heard in a video, as a cue list and as a dubbing track."""

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rac_jax.cli.count import PLOT_SUFFIXES, complain_of_faults
from rac_jax.cli.items import attempt, describe, exit_code, terminable
from rac_jax.cli.options import add_model_arguments, counting_options
from rac_jax.cli.output import (
    check_target,
    complain,
    json_text,
    place_targets,
    say,
    write_text,
)
from rac_jax.counting.instants import KINDS
from rac_jax.weights import DEFAULT_MODEL, EVENT_MODEL

CLICK = "click"
TRACK = ".wav"
TARGETS = ("json", "csv", "edl", "srt", "midi", "overlay", "dub")


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac events`; those of the model depend on the command line."""
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument(
        "--event-kind",
        choices=KINDS,
        default=KINDS[0],
        help="what is marked: the model's own events (default), or where its cycles start or "
        "end, for models without events",
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="S")
    parser.add_argument("--end", type=float, metavar="S")
    out = parser.add_argument_group("what is written; '-' is standard output")
    out.add_argument("--json", metavar="FILE|-", help="times, strengths, places")
    out.add_argument("--csv", metavar="FILE|-", help="the same as a table")
    out.add_argument("--edl", metavar="FILE", help="a CMX 3600 edit decision list")
    out.add_argument("--srt", metavar="FILE", help="subtitles")
    out.add_argument("--midi", metavar="FILE", help="a MIDI file, a drum per event")
    out.add_argument(
        "--plot", metavar="FILE|DIR", help="draw the result (.png or .svg)"
    )
    out.add_argument(
        "--overlay",
        metavar="FILE.mp4",
        help="the video with a mark where and when something should be heard",
    )
    out.add_argument(
        "--dub",
        metavar="FILE.wav|.mp4",
        help="a track with a sound at every event, or the video with it",
    )
    out.add_argument(
        "--sound",
        default=CLICK,
        metavar="click|FILE",
        help="that is dubbed (default: a synthesised click)",
    )
    add_model_arguments(parser, argv, default_model(argv))


def default_model(argv: Sequence[str]) -> str:
    """The model where none is named: one of events, unless cycles are asked for."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--event-kind", nargs="?")
    kind = early.parse_known_args(list(argv))[0].event_kind
    return EVENT_MODEL if kind in (None, KINDS[0]) else DEFAULT_MODEL


def run(args: argparse.Namespace) -> int:
    """Marks the events of one video.

    Returns:
      0; 1 if the video failed, was read in part, or something could not be written; 2 if nothing
      could be started, or the model gives no events.
    """
    from rac_jax import counting
    from rac_jax.models import loading
    from rac_jax.view import cues, dub

    if args.end is not None and args.end <= args.start:
        complain(f"--end: {args.end:g} s is not after --start {args.start:g} s")
        return 2
    try:
        options = counting_options(args)
        for name in TARGETS:
            if getattr(args, name) is not None:
                check_target(getattr(args, name))
        if args.dub is not None:
            check_suffix("--dub", args.dub, TRACK)
        if args.overlay is not None:
            check_suffix("--overlay", args.overlay)
        plots = place_targets("--plot", args.plot, PLOT_SUFFIXES, [args.video])
        sound = dub.read_sound(args.sound) if args.dub is not None else None
    except (ValueError, OSError) as error:
        complain(describe("events", error).removeprefix("events: "))
        return 2
    counting.enable_compilation_cache()
    try:
        counter = loading.load(args.model)
    except counting.ModelError as error:
        complain(error)
        return 2

    def count():
        return counter.count(
            args.video,
            start_s=args.start,
            end_s=args.end,
            progress=sys.stderr.isatty(),
            **options,
        )

    try:
        with terminable():
            result, reason = attempt(args.video, count)
    except KeyboardInterrupt as stop:
        complain("stopped")
        return exit_code(stop)
    if result is None:
        complain(reason)
        return 1
    found = cues.cues_of(result, args.event_kind)
    if found is None:
        complain(
            f"{result.model}: gives no {args.event_kind}"
            + (
                "; --event-kind ends takes its cycles"
                if result.sets is not None
                else ""
            )
        )
        return 2
    if result.faults:
        complain_of_faults(result)
    quiet = "-" in (args.json, args.csv)
    out = sys.stderr if quiet else sys.stdout
    for cue in found:
        place = ""
        if cue.place is not None:
            place = f"  at {cue.place[0]:.2f} right, {cue.place[1]:.2f} down"
        say(f"{cue.time_s:9.3f} s  {cue.strength:.2f}{place}", out)
    say(f"{args.video}: {len(found)} events", out)
    code = int(bool(result.faults))
    writers = _writers(args, result, found, sound)
    writers += [(plot, functools.partial(result.plot, plot)) for plot in plots.values()]
    for target, write in writers:
        _, reason = attempt(target, write)
        if reason is not None:
            complain(reason)
            code = 1
    return code


def check_suffix(flag: str, path: str, *others: str) -> None:
    """Checks that a video can be written under a name, or something with another suffix.

    Raises:
      ValueError: naming the flag.
    """
    from rac_jax.media.encode import SUFFIXES

    known = (*others, *SUFFIXES)
    if not path.lower().endswith(known):
        raise ValueError(f"{flag} {path}: must end in {', '.join(known)}")


def _writers(
    args: argparse.Namespace, result: Any, found: list[Any], sound: Any
) -> list[tuple[str, Callable[[], None]]]:
    """What is to be written: (file, how)."""
    from rac_jax import drafts, media
    from rac_jax.view import cues, dub

    def as_json() -> None:
        record = {
            "file": args.video,
            "model": result.model,
            "events": [
                {"time_s": c.time_s, "strength": c.strength, "place": c.place}
                for c in found
            ],
        }
        write_text(args.json, json_text(record))

    def as_edl() -> None:
        fps = media.probe(args.video).fps
        text = cues.to_edl(found, fps, cues.clip_name(args.video))
        write_text(args.edl, text.rstrip("\n"))

    def as_midi() -> None:
        with drafts.draft_file(args.midi) as draft:
            draft.write_bytes(cues.to_midi(found))

    def as_overlay() -> None:
        # Drawing asks for a library that lists do without.
        from rac_jax.view import event_overlay

        event_overlay.overlay_events(
            result, found, args.overlay, progress=sys.stderr.isatty()
        )

    def as_dub() -> None:
        if not args.dub.lower().endswith(TRACK):
            from rac_jax.view import dubbed_copy

            dubbed_copy.dub_video(
                result, found, args.dub, sound, progress=sys.stderr.isatty()
            )
            return
        # As long as the video, so that both begin together.
        dub.write_dub(args.dub, found, result.start_s + result.duration_s, sound)

    ways = {
        "json": as_json,
        "csv": lambda: write_text(args.csv, cues.to_csv(found).rstrip("\n")),
        "edl": as_edl,
        "srt": lambda: write_text(args.srt, cues.to_srt(found).rstrip("\n")),
        "midi": as_midi,
        "overlay": as_overlay,
        "dub": as_dub,
    }
    chosen = [(getattr(args, name), way) for name, way in ways.items()]
    return [(target, way) for target, way in chosen if target is not None]
