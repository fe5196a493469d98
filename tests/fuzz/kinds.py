"""What is damaged, and what reads it. A case returns normally or raises what it may."""

import copy
import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import safetensors.numpy

from rac_jax import media
from rac_jax.counting import ModelError
from rac_jax.counting.model_config import SHIPPED, read_config
from rac_jax.data import annotations
from rac_jax.media import encode
from tests.conftest import knocks, moving_square
from tests.fuzz.damage import damaged
from tests.media.media_factory import coded_frames, make_video, make_wav

Case = Callable[[np.random.Generator], None]


class Kind:
    """Cases of one kind.

    Args:
      folder: of its own; good files lie there, and the damaged one.

    Attributes:
      allowed: what a case may raise, in one line that names the file.
    """

    allowed: tuple[type[Exception], ...]

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def case(self, rng: np.random.Generator) -> pathlib.Path:
        """Leaves a damaged file and returns its path."""
        raise NotImplementedError

    def read(self, path: pathlib.Path) -> None:
        """Reads it as the library does."""
        raise NotImplementedError


class Media(Kind):
    """Containers and codecs, decoded to the end."""

    allowed = (media.MediaError,)

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder)
        frames, sound = coded_frames(30), knocks(1.2, 16000)
        self.good = [
            make_video(folder / "a.mp4", frames, sound=sound),
            make_video(folder / "b.mkv", frames, sound=sound, sound_codec="flac"),
            make_video(folder / "c.ts", frames, sound=sound),
            make_video(folder / "d.avi", frames, codec="mpeg4", sound=sound),
            make_video(folder / "e.mov", frames[:8], codec="mjpeg", pix_fmt="yuvj420p"),
            make_wav(folder / "f.wav", knocks(0.5, 8000), 8000),
        ]
        encode.write_video(folder / "g.mp4", moving_square(20), 25, sound, 16000)
        self.good.append(folder / "g.mp4")

    def case(self, rng):
        good = self.good[rng.integers(0, len(self.good))]
        path = self.folder / f"damaged{good.suffix}"
        path.write_bytes(damaged(rng, good.read_bytes()))
        return path

    def read(self, path):
        with media.collect_faults() as faults:
            info = media.probe(path)
            if info.has_video:
                for chunk in media.stream_frames(path, size=(16, 16), most_fps=15):
                    assert np.all(np.diff(chunk.times_s) > 0)
            if info.has_audio:
                for block in media.stream_audio(path):
                    assert np.isfinite(block).all()
        assert all("\n" not in fault for fault in faults)


class Table(Kind):
    """Tables of labels."""

    allowed = (ValueError,)
    TEXT = (
        "file,start_s,end_s,count,alt_count,label,challenges\n"
        "a.mp4,0,10.5,4,,squat,clutter;low illumination\n"
        '"b, c.mp4",1.25,,12,13,"jump\nrope",\n'
    )

    def case(self, rng):
        data = self.TEXT.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
        path = self.folder / "damaged.csv"
        path.write_bytes(damaged(rng, data))
        return path

    def read(self, path):
        for record in annotations.read_csv(path):
            assert 0 <= record.count < float("inf")


class Config(Kind):
    """`config.json` of models: as text, and with values of other types."""

    allowed = (ModelError,)
    VALUES = (None, -1, 10**30, 1e300, "x", "", [], [None], {}, {"a": []}, True)

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder)
        self.models = ("compact", "frame-differences", "sight-sound-small")

    def case(self, rng):
        model = self.models[rng.integers(0, len(self.models))]
        text = (SHIPPED / model / "config.json").read_text()
        path = self.folder / "model" / "config.json"
        path.parent.mkdir(exist_ok=True)
        if rng.random() < 0.3:
            path.write_bytes(damaged(rng, text.encode()))
            return path
        config = json.loads(text)
        for _ in range(rng.integers(1, 4)):
            place = config
            while isinstance(place, dict) and place:
                name = list(place)[rng.integers(0, len(place))]
                if not isinstance(place[name], dict) or rng.random() < 0.5:
                    value = self.VALUES[rng.integers(0, len(self.VALUES))]
                    place[name] = copy.deepcopy(value)
                    break
                place = place[name]
        path.write_text(json.dumps(config))
        return path

    def read(self, path):
        from rac_jax.models.loading import read_family

        read_config(path.parent)
        try:
            read_family(path.parent)
        except ModelError as error:
            # That of an unknown family names the folder.
            raise ModelError(f"{path}: {error}") from error


class Weights(Kind):
    """Tensors of models."""

    allowed = (ModelError,)

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder)
        self.model = folder / "model"
        shutil.copytree(SHIPPED / "frame-differences", self.model)
        tensors = {"params/a": np.arange(64.0, dtype=np.float32), "b": np.ones((4, 4))}
        self.good = safetensors.numpy.save(tensors)

    def case(self, rng):
        path = self.model / "model.safetensors"
        path.write_bytes(damaged(rng, self.good))
        return path

    def read(self, path):
        from rac_jax.counting import weights

        weights.read_tensors(path.parent)


KINDS = {"media": Media, "table": Table, "config": Config, "weights": Weights}
