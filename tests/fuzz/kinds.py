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
}
