"""`rac scenes`: procedural videos with sound and known counts, or a sheet of them to look at."""

import argparse
import ast
import csv
import dataclasses
import functools
import io
import json
import pathlib
import shlex
import sys
from collections.abc import Sequence

from rac_jax.cli.arguments import positive_number, whole_number
from rac_jax.cli.output import complain, write_text

SHEET_FRAMES = 16
SHEET_SCENES = 12
ALL = "all"  # of the challenges, in turn


LARGEST_SIDE = 4096
LEAST_FRAMES = 8
MOST_PIXELS = 2_000_000_000  # of all frames of a scene, which is rendered in memory
SEEDS = 2**32


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split("x"))
    except ValueError:
        height = width = 0
    if min(height, width) < 16 or max(height, width) > LARGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HEIGHTxWIDTH in pixels, from 16 to {LARGEST_SIDE} each"
        )
    return height, width


def _share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


def _seed(text: str) -> int:
    """A whole number that a random key can be made of."""
    try:
        value = int(text)
    except ValueError:
        value = SEEDS
    if not 0 <= value < SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number from 0 to 2^32 - 1"
        )
    return value


def _field(text: str) -> tuple[str, object]:
    """A field of `SceneConfig` and its value as Python writes it."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FIELD=VALUE with a number, or a tuple or text in quotes"
        ) from None


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the options of `rac scenes`."""
    parser.add_argument("--out", metavar="DIR", help="folder for videos and labels.csv")
    parser.add_argument(
        "--sheet", metavar="FILE", help="draw a contact sheet (PNG) with the labels"
    )
    parser.add_argument(
        "--num",
        type=whole_number,
        metavar="N",
        help=f"how many scenes (default: 8; {SHEET_SCENES} for a sheet)",
    )
    parser.add_argument("--seed", type=_seed, default=0, metavar="S")
    parser.add_argument(
        "--seconds",
        type=positive_number,
        default=8.0,
        help="length (default: %(default)s)",
    )
    parser.add_argument(
        "--fps", type=positive_number, default=25.0, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        type=_size,
        default=(240, 320),
        metavar="HxW",
        help="of the picture (default: 240x320)",
    )
    parser.add_argument(
        "--period",
        type=positive_number,
        nargs=2,
        default=(0.4, 2.5),
        metavar=("LOW", "HIGH"),
        help="range of seconds per repetition (default: 0.4 2.5)",
    )
    parser.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="of motion (default: all)"
    )
    parser.add_argument(
        "--still",
        type=_share,
        default=0.1,
        help="share of scenes without repetition (default: %(default)s)",
    )
    parser.add_argument(
        "--damage",
        type=_share,
        default=0.0,
        help="share of damaged pictures, and of damaged sounds (default: %(default)s)",
    )
    parser.add_argument(
        "--challenges",
        nargs="+",
        default=[],
        metavar="NAME",
        help="what makes all of them hard, as paper 1's extreme split; 'all' gives each "
        "video one of the seven in turn, in the column `challenges` of labels.csv",
    )
    parser.add_argument(
        "--config",
        nargs="+",
        type=_field,
        default=[],
        metavar="FIELD=VALUE",
        help="any field of rac_jax.scenes.SceneConfig, such as pause=0.5 jitter=0.3",
    )
    parser.add_argument(
        "--clean", action="store_true", help="plain scenes: a tripod, little noise"
    )
    parser.add_argument(
        "--json", action="store_true", help="write each video's record beside it"
    )


def _config(args: argparse.Namespace):
    """The scenes that the options ask for, but for challenges that take turns."""
    from rac_jax import scenes

    frames = round(args.seconds * args.fps)
    pixels = frames * args.size[0] * args.size[1]
    if frames < LEAST_FRAMES or pixels > MOST_PIXELS:
        raise ValueError(
            f"--seconds {args.seconds:g}, --fps {args.fps:g}: {frames} frames; a scene has "
            f"{LEAST_FRAMES} or more, and at most {MOST_PIXELS:.0e} pixels in all"
        )
    low, high = sorted(args.period)
    plain = {"camera": 0.0, "distractor": 0.0} if args.clean else {}
    config = scenes.SceneConfig(
        frames=frames,
        height=args.size[0],
        width=args.size[1],
        fps=args.fps,
        period=(low * args.fps, high * args.fps),
        max_cycles=max(8, int(args.seconds / low) + 2),
        still=args.still,
        picture_damage=args.damage,
        sound_damage=args.damage,
        clean=args.clean,
        kinds=tuple(args.kinds or scenes.KINDS),
        challenges=() if args.challenges == [ALL] else tuple(args.challenges),
        **plain,
    )
    known = {field.name for field in dataclasses.fields(config)}
    for name, _ in args.config:
        if name not in known:
            raise ValueError(
                f"--config {name}: scenes have no such field, known: "
                f"{', '.join(sorted(known))}"
            )
    return dataclasses.replace(config, **dict(args.config))


def _challenges(args: argparse.Namespace, index: int) -> tuple[str, ...]:
    """What makes a scene hard."""
    from rac_jax import scenes

    if args.challenges == [ALL]:
        return (scenes.CHALLENGES[index % len(scenes.CHALLENGES)],)
    return tuple(args.challenges)


def _scenes(args: argparse.Namespace, config, number: int):
    """Renders scene after scene; scene i of a seed does not depend on their number."""
    import jax
    import numpy as np

    from rac_jax import scenes

    @functools.partial(jax.jit, static_argnums=1)
    def render(key, config):
        # What is of no use here is not compiled.
        return scenes.render_scene(key, config).replace(mask=None, joints=None)

    key = jax.random.key(args.seed)
    for index in range(number):
        hard = dataclasses.replace(config, challenges=_challenges(args, index))
        scene = render(jax.random.fold_in(key, index), hard)
        yield jax.tree.map(np.asarray, scene)


def record(scene, index: int, config, args: argparse.Namespace) -> dict:
    """What is known of a scene of a run, in seconds, ready for JSON."""
    cycles = scene.cycles[scene.cycles_mask]
    events = scene.events[scene.events_mask]
    return {
        "count": round(float(scene.count)),
        "duration_s": config.duration_s,
        "fps": config.fps,
        "size": [config.height, config.width],
        "cycles": [[round(float(t), 4) for t in cycle] for cycle in cycles],
        "challenges": list(_challenges(args, index)),
        "contacts": [
            round(frame / config.fps, 4)
            for frame in scene.contacts.nonzero()[0].tolist()
        ],
        "events": [round(float(t), 4) for t in events],
        "seed": args.seed,
        "scene": index,
        "command": f"rac scenes --out DIR --num {index + 1} "
        + shlex.join(args.command_line),
    }


def _command_line(args: argparse.Namespace) -> list[str]:
    """The options that make the same scenes again, without where they go."""
    options = ["--seed", str(args.seed), "--seconds", f"{args.seconds:g}"]
    options += ["--fps", f"{args.fps:g}", "--size", f"{args.size[0]}x{args.size[1]}"]
    options += ["--period", *(f"{value:g}" for value in args.period)]
    options += ["--still", f"{args.still:g}", "--damage", f"{args.damage:g}"]
    if args.challenges:
        options += ["--challenges", *args.challenges]
    if args.config:
        options += ["--config", *(f"{name}={value!r}" for name, value in args.config)]
    if args.clean:
        options.append("--clean")
    if args.kinds:
        options += ["--kinds", *args.kinds]
    return options


def _write_videos(args: argparse.Namespace, config, number: int) -> None:
    from rac_jax.data.annotations import EVENTS, events_cell
    from rac_jax.media import encode

    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    groups = ("challenges",) if args.challenges else ()
    writer.writerow(("file", "start_s", "end_s", "count", EVENTS, *groups))
    for index, scene in enumerate(_scenes(args, config, number)):
        name = f"scene_{index:05d}.mp4"
        encode.write_video(
            out / name, scene.frames, config.fps, scene.waveform, config.rate
        )
        known = record(scene, index, config, args)
        named = (";".join(known["challenges"]),) if groups else ()
        end_s = f"{config.duration_s:g}"
        events = events_cell(known["contacts"])
        writer.writerow((name, 0, end_s, known["count"], events, *named))
        if args.json:
            text = json.dumps(known, indent=2)
            write_text((out / name).with_suffix(".json"), text)
        print(f"{out / name}: {known['count']}")
    write_text(out / "labels.csv", table.getvalue().rstrip("\n"))


def _draw_sheet(args: argparse.Namespace, config, number: int) -> None:
    """A strip of frames and a spectrogram per scene, its cycles and sounds marked."""
    import matplotlib.figure
    import numpy as np

    from rac_jax import scenes
    from rac_jax.ops import spectrogram

    figure = matplotlib.figure.Figure(figsize=(20, 2.4 * number), layout="constrained")
    axes = figure.subplots(2 * number, 1, squeeze=False)[:, 0]
    for index, scene in enumerate(_scenes(args, config, number)):
        picture, sound = axes[2 * index], axes[2 * index + 1]
        shown = np.linspace(0, config.frames - 1, SHEET_FRAMES).round().astype(int)
        picture.imshow(np.concatenate(list(scene.frames[shown]), axis=1))
        picture.set_axis_off()
        picture.set_title(
            f"{index}: count {scene.count:g}, picture "
            f"{scenes.PICTURE_DAMAGE[int(scene.picture_damage)]}, sound "
            f"{scenes.SOUND_DAMAGE[int(scene.sound_damage)]}"
            + "".join(f", {name}" for name in _challenges(args, index))
            + "; phases "
            + " ".join(f"{phase:.1f}" for phase in scene.phase[shown]),
            fontsize=8,
        )
        log = np.asarray(spectrogram.log_spectrogram(scene.waveform))
        extent = (0, config.duration_s, 0, config.rate / 2)
        sound.imshow(log, origin="lower", aspect="auto", extent=extent)
        for start, end in scene.cycles[scene.cycles_mask]:
            sound.axvline(start, color="white", linewidth=0.8)
            sound.axvline(end, color="white", linewidth=0.8, linestyle=":")
        heard = scene.events[scene.events_mask]
        sound.plot(heard, np.full(heard.shape, config.rate / 2.2), "rv", markersize=4)
        sound.set_xlim(0, config.duration_s)
        sound.tick_params(labelsize=6)
    figure.savefig(args.sheet, dpi=80)
    print(args.sheet)


def run(args: argparse.Namespace) -> int:
    """Runs `rac scenes`."""
    if not args.out and not args.sheet:
        complain("scenes: say --out DIR, --sheet FILE or both")
        return 2
    args.command_line = _command_line(args)
    try:
        config = _config(args)
        if args.out:
            _write_videos(args, config, args.num or 8)
        if args.sheet:
            _draw_sheet(args, config, args.num or SHEET_SCENES)
    except (OSError, ValueError) as error:
        complain(f"scenes: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit("run `rac scenes`")
