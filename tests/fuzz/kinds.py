"""What is damaged, and the door of the library through which it is read."""

import itertools
import json
import pathlib
from collections.abc import Callable

import av
import numpy as np
import safetensors.numpy

from rac_jax import media
from rac_jax.counting import model_config, weights
from rac_jax.data import annotations
from rac_jax.media import encode

# More than any of the sound files holds.
MOST_CHUNKS = 2000


def media_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes one second of picture and sound in every container that is damaged."""
    dice = np.random.default_rng(0)
    frames = dice.integers(256, size=(15, 48, 64, 3), dtype=np.uint8)
    wave = np.sin(np.arange(16000) / 9).astype(np.float32)
    made = [folder / "sound.mp4"]
    encode.write_video(made[0], frames, 15.0, wave, 16000)
    for suffix in ("mkv", "ts", "avi"):
        made.append(folder / f"sound.{suffix}")
        with av.open(str(made[-1]), "w") as target:
            picture = target.add_stream("mpeg4", rate=15)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
            sound = target.add_stream("mp2", rate=16000, layout="mono")
            for array in frames:
                picture_frame = av.VideoFrame.from_ndarray(array, format="rgb24")
                target.mux(picture.encode(picture_frame))
            _write_sound(target, sound, wave)
            target.mux(picture.encode(None))
    made.append(folder / "sound.wav")
    with av.open(str(made[-1]), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=16000, layout="mono")
        _write_sound(target, stream, wave)
    return made


def _write_sound(
    target: av.container.OutputContainer, stream: av.AudioStream, wave: np.ndarray
) -> None:
    samples = (wave * 30000).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = 16000
    target.mux(stream.encode(frame))
    target.mux(stream.encode(None))


def read_media(path: pathlib.Path) -> None:
    """Looks at a file and decodes both of its streams, each by itself."""
    failures = []
    for read in (media.probe, _frames, _sound):
        try:
            read(path)
        except media.MediaError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _frames(path: pathlib.Path) -> None:
    for _ in itertools.islice(media.stream_frames(path, size=(32, 32)), MOST_CHUNKS):
        pass


def _sound(path: pathlib.Path) -> None:
    for _ in itertools.islice(media.stream_audio(path, rate=8000), MOST_CHUNKS):
        pass


def tables(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes a CSV of labels."""
    path = folder / "labels.csv"
    path.write_text(
        "file,start_s,end_s,count,label,challenges\n"
        'a.mp4,0.5,9.25,4,jump,dark;blur\n"b,c.mp4",,,7.5,,\nd.mkv,1,2,3,swim,dark\n',
        encoding="utf-8",
    )
    return [path]


def configs(folder: pathlib.Path) -> list[pathlib.Path]:
    """Copies the config of every shipped model."""
    made = []
    for name in model_config.shipped_models():
        path = folder / name / "config.json"
        path.parent.mkdir()
        path.write_bytes((model_config.find_model(name) / path.name).read_bytes())
        made.append(path)
    return made


def read_config(path: pathlib.Path) -> None:
    """Reads the folder's config."""
    json.dumps(model_config.read_config(path.parent))


def tensors(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes a small file of tensors."""
    path = folder / weights.TENSOR_FILE
    arrays = {
        "a/kernel": np.ones((3, 4), np.float32),
        "a/bias": np.zeros(4, np.float32),
    }
    safetensors.numpy.save_file(arrays, path)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return [path]


def read_tensors(path: pathlib.Path) -> None:
    """Reads the folder's tensors."""
    weights.read_tensors(path.parent)


def checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes PyTorch checkpoints, in the zip format and in the older one."""
    import torch

    state = {"state_dict": {"a.weight": torch.ones(3, 4), "a.bias": torch.zeros(4)}}
    made = [folder / "new.pt", folder / "old.pt"]
    torch.save(state, made[0])
    torch.save(state, made[1], _use_new_zipfile_serialization=False)
    return made


def read_checkpoint(path: pathlib.Path) -> None:
    """Reads a checkpoint and takes its tensors out."""
    from rac_jax.interop import torch_io

    torch_io.state_dict(path, torch_io.read_checkpoint(path), ("state_dict", None))


def caches(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes a cache of two clips; its index and its records are damaged in turn."""
    from rac_jax.data import clip_cache, labelled

    videos = [
        labelled.LabelledVideo(
            video_id=name,
            frames=np.full((4, 8, 8, 3), 7, np.uint8),
            fps=4.0,
            waveform=None,
            audio_rate=0,
            count=2.0,
        )
        for name in "ab"
    ]
    clip_cache.build_cache(folder / "cache", videos, "key")
    return [
        folder / "cache" / clip_cache.INDEX,
        folder / "cache" / clip_cache.RECORDS.format(0, 1),
    ]


def read_cache(path: pathlib.Path) -> None:
    """Reads every clip of the cache."""
    from rac_jax.data import clip_cache

    videos = clip_cache.CachedVideos(path.parent)
    for index in range(len(videos)):
        videos[index]


def overrides(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes the overrides of a training command, one to a line, for each family."""
    lines = {
        "compact": [
            "sight.batch=8",
            "sight.epochs=2",
            "model.sight_features=('pixels',)",
        ],
        "sight_sound": [
            "stride.strides=(1, 2)",
            "loss.terms=('squared', 'relative')",
            "data.train.number=40",
            "sight.optimiser.learning_rate=0.001",
        ],
        "repnet": ["model.width=0.25", "windows.padded=0.5", "data.size=32"],
    }
    variants = {"compact": "compact:quick", "sight_sound": "sight_sound:small"}
    made = []
    for name, fields in lines.items():
        made.append(folder / f"{name}.txt")
        text = [f"--config={variants.get(name, name + ':small')}"]
        text += [f"--config.{field}" for field in fields]
        made[-1].write_text("\n".join(text), encoding="utf-8")
    return made


def read_overrides(path: pathlib.Path) -> None:
    """Checks a training command as `rac train` does, up to the first step.

    Raises:
      ValueError: naming the file, where the command would have said one line.
    """
    from absl import flags

    from rac_jax import models
    from rac_jax.cli import train as command
    from rac_jax.train.training import checked_run

    try:
        text = path.read_text(encoding="utf-8")
        argv = [f"--workdir={path.parent / 'run'}", *text.splitlines()]
        _, config = command.parse(argv)
    # As the command catches them.
    except (flags.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    try:
        checked_run(models.find_family(config.family), config, path.parent / "run")
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def runs(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes what a finished run leaves: its measurement."""
    score = {"n": 4, "mae": 0.25, "mae_rounded": 0.25, "obo": 0.75}
    report = {
        "test": {"kind": "scenes", "number": 4},
        "estimators": {"sight": score, "fused": score},
        "challenges": {"dark picture": {"sight": score, "fused": score}},
        "videos": [{"video_id": "a", "count": 3.0, "sight": 2.5, "fused": 3.25}],
    }
    path = folder / "evaluation.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    return [path]


def read_run(path: pathlib.Path) -> None:
    """Prints the run's table as `rac evaluate --runs` does, and a sweep's of it."""
    from rac_jax.cli import runs as command
    from rac_jax.train import sweep_table

    cell = {
        "run": path.parent.name,
        "estimator": "fused",
        "metric": "mae",
        "paper": 0.3,
    }
    sweep = {
        "title": "t",
        "runs": {path.parent.name: {}},
        "columns": ["c", "few"],
        "rows": [
            {"name": "r", "cells": {"c": cell, "few": cell | {"counts": (1, 5)}}},
        ],
        "note": "",
    }
    command.scores_text([command.read_report(path.parent)])
    found = sweep_table.read_evaluations(path.parent.parent, sweep)
    sweep_table.table_text("t", sweep, found)


Kind = tuple[
    Callable[[pathlib.Path], list[pathlib.Path]], Callable[[pathlib.Path], object]
]
KINDS: dict[str, Kind] = {
    "media": (media_files, read_media),
    "csv": (tables, annotations.read_csv),
    "config": (configs, read_config),
    "tensors": (tensors, read_tensors),
    "checkpoint": (checkpoints, read_checkpoint),
    "cache": (caches, read_cache),
    "overrides": (overrides, read_overrides),
    "run": (runs, read_run),
}
