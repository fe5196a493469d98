"""`python -m rac_jax.cli.train_compact`: trains the compact counter and saves the model.

Finished stages lie in the output folder and are not run again.
"""

import argparse
import logging
import pathlib
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

from rac_jax.cli.config_file import load_config
from rac_jax.cli.output import complain

LOG = logging.getLogger("rac_jax.train")


def _stream(config: Any, features: str, out: pathlib.Path) -> dict[str, Any]:
    """A trained stream's variables, from its file or trained now."""
    import flax.traverse_util
    import jax

    from rac_jax.train import compact, compact_scenes

    stream = "sound" if features == "spectrum" else "sight"
    settings = config[stream]
    make = {
        "sight": compact_scenes.sight_scenes,
        "sound": compact_scenes.sound_scenes,
    }[stream]

    def train():
        key = compact_scenes.scenes_key(config.seed, stream)
        data = compact_scenes.kept(out / f"{stream}.npz", lambda: make(settings, key))
        variables = compact.train_stream(config, features, settings, data)
        return flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")

    flat = compact_scenes.kept(out / f"stream_{features}.npz", train)
    return flax.traverse_util.unflatten_dict(flat, sep="/")


def train_variables(config: Any, out: pathlib.Path) -> dict[str, Any]:
    """The variables of the whole model, stream by stream."""
    streams = {
        f"sight_{name}": _stream(config, name, out)
        for name in config.model.sight_features
    }
    streams["sound_stream"] = _stream(config, "spectrum", out)
    variables = {"params": {name: v["params"] for name, v in streams.items()}}
    stats = {
        name: v["batch_stats"] for name, v in streams.items() if v.get("batch_stats")
    }
    return variables | ({"batch_stats": stats} if stats else {})


def read_scenes(counter: Any, config: Any) -> list[dict[str, Any]]:
    """Both streams' readings of the validation scenes.

    Args:
      counter: a `CompactCounter`.
      config: the whole config.

    Returns:
      Per scene {"truth", "sound_damage", "sight": Reading, "sound": Reading}.
    """
    import numpy as np

    from rac_jax.counting.soundtrack import Soundtrack
    from rac_jax.counting.source import ArraySource
    from rac_jax.ops import spectrogram
    from rac_jax.train import compact_scenes

    key = compact_scenes.scenes_key(config.seed, "validation")
    records = []
    for part in compact_scenes.validation_scenes(config, key):
        for place, grey in enumerate(part["windows"]):
            source = ArraySource(
                np.repeat(grey[..., None], 3, axis=-1),
                fps=float(part["fps"]),
                waveform=part["waveform"][place],
                audio_rate=spectrogram.RATE,
                size=config.sight.size,
                rate=spectrogram.RATE,
            )
            with Soundtrack(source.sound()) as track:
                lines, times, end_s, _ = counter.lines(
                    source,
                    track,
                    strides=tuple(config.strides),
                    use_sight=True,
                    progress=lambda frames: None,
                )
            records.append(
                {
                    "truth": float(part["rate"][place].sum()),
                    "sound_damage": int(part["sound_damage"][place]),
                }
                | {
                    name: counter.read(stream, times, end_s)
                    for name, stream in lines.items()
                }
            )
    return records


def settle(counter: Any, config: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Fits the reliability on validation scenes.

    Returns:
      (reliability weights, accuracy of both streams and of the fused count on these scenes).
    """
    import numpy as np

    from rac_jax.counting import evaluation
    from rac_jax.train import compact_reliability

    records = read_scenes(counter, config)
    truth = np.array([record["truth"] for record in records])
    streams = ("sight", "sound")
    counts = {s: np.array([r[s].count for r in records]) for s in streams}
    confidence = {s: np.array([r[s].confidence for r in records]) for s in streams}
    weights = compact_reliability.fit(counts, confidence, truth)
    gamma = compact_reliability.gate(weights, confidence["sight"], confidence["sound"])
    counts["fused"] = (1 - gamma) * counts["sight"] + gamma * counts["sound"]
    positive = truth > 0
    accuracy = {
        name: evaluation.summarise(values[positive], truth[positive])
        | {"negatives": evaluation.summarise_negatives(values[~positive])}
        for name, values in counts.items()
    }
    return weights, {"procedural": accuracy}


def describe(config: Any, command: str) -> dict[str, Any]:
    """The model's `config.json` but for what is measured."""
    import jax

    import rac_jax

    return {
        "name": config.name,
        "family": "compact",
        "arguments": {"sight_features": list(config.model.sight_features)},
        "preprocessing": {"size": config.sight.size},
        "protocol": "compact",
        "strides": list(config.strides),
        "rule": config.rule.to_dict(),
        "reliability": {"bias": -20.0, "sight": 0.0, "sound": 0.0},
        "training": {
            "command": command,
            "data": "procedural scenes only",
            "config": config.to_dict(),
            "rac_jax": rac_jax.__version__,
            "jax": jax.__version__,
            "device": jax.devices()[0].device_kind,
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Trains, measures and saves; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rac_jax.cli.train_compact", description=__doc__
    )
    parser.add_argument("--config", required=True, type=pathlib.Path)
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="folder for the stages' files and, in `model`, the model",
    )
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    LOG.setLevel(logging.INFO)
    try:
        config = load_config(args.config)
    except (OSError, ValueError) as error:
        complain(error)
        return 1

    from rac_jax.counting import loading, weights

    where = shlex.join(["--config", args.config.as_posix(), "--out", "DIR"])
    description = describe(config, f"python -m rac_jax.cli.train_compact {where}")
    began = time.monotonic()
    variables = train_variables(config, args.out)
    folder = args.out / "model"
    weights.save_model(folder, description, variables, half=True)
    # What ships is measured: the halved weights, through the counter.
    description["reliability"], description["accuracy"] = settle(
        loading.load(folder), config
    )
    description["training"]["seconds"] = round(time.monotonic() - began)
    for name, scores in description["accuracy"]["procedural"].items():
        LOG.info("%s: %s", name, scores)
    print(weights.save_model(folder, description, variables, half=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
