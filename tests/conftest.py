"""What tests share: a tiny model with random weights, and small clips with sound."""

import importlib.metadata
import os
import pathlib
import sys

import numpy as np
import pytest

# A test that needs the user's cache folder sets its own.
os.environ.setdefault("RAC_JAX_CACHE", "off")
# Tests compile more than they compute, and XLA's older code for fused loops compiles in half of
# the time. Before JAX is imported; jaxlib 0.11 does not know the flag any more. Who sets
# XLA_FLAGS, to nothing for what users get, is left alone.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """What tests draw by PyTorch's own generator, before fixtures too, is the same every time."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="module")
def quick_compiling():
    """Compiles with few optimisations: for modules that compile more than they compute."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


TINY_ARGUMENTS = {
    "sight_encoder": "s3d",
    "sight_width": 0.0625,
    "sight_classes": 5,
    "sound_width": 0.0625,
    "sound_classes": 6,
    "ranker": "paper",
    "reliability": "paper",
    "use_sight_only_ranker": True,
}
TINY_PREPROCESSING = {
    "clip_frames": 64,
    "size": 32,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "audio_rate": 22050,
    "nperseg": 512,
    "noverlap": 353,
    "columns": 500,
}


def tiny_config(**changes) -> dict:
    """The `config.json` of the tiny model."""
    return {
        "name": "tiny",
        "family": "sight_sound",
        "arguments": TINY_ARGUMENTS,
        "preprocessing": TINY_PREPROCESSING,
        "protocol": "paper",
        "max_stride": 5,
    } | changes


def random_variables(network, seed: int = 0, family: str = "sight_sound"):
    """Random variables with BatchNorm statistics that are not trivial."""
    import jax

    from rac_jax import models
    from rac_jax.counting import programs

    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        name = path[-1].key
        if name in ("var", "scale"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        if name in ("mean", "bias"):
            return rng.normal(0, 0.1, leaf.shape).astype(np.float32)
        fan_in = max(1, int(np.prod(leaf.shape[:-1])))
        return rng.normal(0, np.sqrt(2 / fan_in), leaf.shape).astype(np.float32)

    inputs = models.find_family(family).example_inputs(network)
    shapes = programs.abstract_variables(network, inputs)
    return jax.tree_util.tree_map_with_path(fill, shapes)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> pathlib.Path:
    """A released model folder of random weights, small enough to count in milliseconds."""
    from rac_jax import models
    from rac_jax.counting import weights

    network = models.find_family("sight_sound").network(**TINY_ARGUMENTS)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return weights.save_model(folder, tiny_config(), random_variables(network))


def moving_square(frames: int, height: int = 48, width: int = 64, period: float = 12.0):
    """Frames uint8 [T, H, W, 3] of a square that moves to and fro."""
    rng = np.random.default_rng(0)
    background = rng.integers(0, 120, (height, width, 3), np.uint8)
    video = np.repeat(background[None], frames, axis=0)
    for t in range(frames):
        left = int((width - 12) * (0.5 + 0.4 * np.sin(2 * np.pi * t / period)))
        video[t, 15:27, left : left + 12] = 250
    return video


def knocks(seconds: float, rate: int = 22050, period_s: float = 0.5) -> np.ndarray:
    """Mono float32 samples with a knock every `period_s`."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(1).normal(size=t.size) * 0.3
    return (noise * np.exp(-30 * (t % period_s))).astype(np.float32)


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> pathlib.Path:
    """Four seconds of video with sound at 25 frames per second."""
    from rac_jax.media import encode

    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    encode.write_video(path, moving_square(100), 25, knocks(4.0), 22050)
    return path


@pytest.fixture(scope="session")
def silent_clip(tmp_path_factory) -> pathlib.Path:
    """Two seconds of video without sound."""
    from rac_jax.media import encode

    path = tmp_path_factory.mktemp("clips") / "silent.mp4"
    encode.write_video(path, moving_square(50), 25)
    return path


@pytest.fixture(scope="session")
def loaded_tiny(tiny_model):
    """The tiny model, loaded and compiled once for all command tests."""
    from rac_jax.models import loading

    return loading.load(tiny_model)


@pytest.fixture
def run_rac(tiny_model, loaded_tiny, capsys, monkeypatch):
    """Runs `rac COMMAND ... --model TINY`; returns (exit code, stdout, stderr)."""
    from rac_jax.cli import main
    from rac_jax.models import loading

    monkeypatch.setattr(loading, "load", lambda model: loaded_tiny)

    def run(command, *arguments):
        words = [command, *map(str, arguments), "--model", str(tiny_model)]
        code = main.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
