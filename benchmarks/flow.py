"""End-point errors of optical flow on scenes whose flow is known, and of its difference in time.

    python -m benchmarks.flow [--scenes N] [--size PIXELS] [--model FOLDER ...]

Scenes that no model has seen, of three kinds: as they come, before a flat background, and of
small things that move fast. Each method sees the same frames. Errors are in pixels: of all pixels
that the next frame shows, of those that move more than half a pixel, of those that it hides, and, for
the inflection (the next flow minus this one, at the same pixel), of those where it is longer than
half a pixel. Milliseconds are of one pair of frames. Farneback's and DIS need the extra `flow`;
without it they are left out, with a line.
"""

import argparse
import dataclasses
import importlib.util
import itertools
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.gmflow import GMFlow
from rac_jax.models import loading
from rac_jax.models.optical_flow.evaluation import METRICS, error_sums
from rac_jax.ops.flow import FlowSettings, tv_l1
from rac_jax.scenes import SceneConfig
from rac_jax.scenes.flow import pose_flow
from rac_jax.scenes.picture import draw_frames, make_pose
from rac_jax.scenes.scene import stage_scene

Method = Callable[[np.ndarray], np.ndarray]  # [T, H, W, 3] uint8 to [T - 1, H, W, 2]

SEED = 20_000  # far from the seeds of the configs
FRAMES = 10
KINDS = ("as they come", "flat background", "small and fast")
SMALL = 0.4  # of the bodies' sizes
TV_L1 = {"TV-L1": FlowSettings(), "TV-L1, quick": FlowSettings(warps=2, steps=8)}


@dataclasses.dataclass(frozen=True)
class Clip:
    """A scene: frames uint8 [T, H, W, 3], forward flow [T - 1, H, W, 2], hidden [T - 1, H, W]."""

    frames: np.ndarray
    flow: np.ndarray
    hidden: np.ndarray


def render_clips(kind: str, number: int, size: int) -> list[Clip]:
    """Scenes of one of `KINDS`."""
    fast = kind == "small and fast"
    config = SceneConfig(
        frames=FRAMES,
        height=size,
        width=size,
        max_cycles=16,
        still=0.0,
        shot_change=0.0,
        challenges=("fast motion",) if fast else (),
    )

    @jax.jit
    def one(key):
        staging = stage_scene(key, config)
        tracks, look = staging.tracks, staging.look
        if fast:
            tracks = tracks.replace(a=SMALL * tracks.a, b=SMALL * tracks.b)
        if kind == "flat background":
            colours = look.field_colours.at[1:].set(0.0)
            look = look.replace(field_colours=colours, slope=0 * look.slope)
        flow = pose_flow(make_pose(tracks, look, FRAMES), config)
        return draw_frames(tracks, look, config), flow.forward, flow.forward_hidden

    keys = jax.random.split(jax.random.key(SEED + KINDS.index(kind)), number)
    return [Clip(*map(np.asarray, one(key))) for key in keys]


def by_opencv(make: Callable) -> Method:
    """A method of OpenCV, given (first, second) in grey."""

    def flow(frames: np.ndarray) -> np.ndarray:
        import cv2

        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        calculate = make(cv2)
        return np.stack([calculate(*pair) for pair in itertools.pairwise(grey)])

    return flow


def farneback(cv2) -> Callable:
    """With the settings of OpenCV's tutorial."""
    return lambda first, second: cv2.calcOpticalFlowFarneback(
        first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0
    )


def dis(cv2) -> Callable:
    """Dense inverse search, as OpenCV sets it up by default."""
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda first, second: search.calc(first, second, None)


def by_network(network: GMFlow, variables) -> Method:
    """A GMFlow."""
    apply = jax.jit(lambda v, x: network.apply(v, x).forward)
    return lambda frames: np.asarray(apply(variables, frames[None])[0])


def by_tv_l1(settings: FlowSettings) -> Method:
    """Ours, without learning; all pairs of a clip at once."""

    def flow(frames: np.ndarray) -> np.ndarray:
        grey = jnp.mean(jnp.asarray(frames, jnp.float32), axis=-1)  # [T, H, W]
        return np.asarray(tv_l1(grey[:-1], grey[1:], settings))

    return flow


def find_methods(models: list[str]) -> dict[str, Method]:
    """All methods at hand, by name."""
    methods: dict[str, Method] = {
        "no motion": lambda frames: np.zeros((*frames[1:].shape[:3], 2), np.float32)
    }
    methods |= {name: by_tv_l1(settings) for name, settings in TV_L1.items()}
    if importlib.util.find_spec("cv2") is None:
        print('no OpenCV: pip install "rac_jax[flow]"', file=sys.stderr)
    else:
        methods |= {"Farneback": by_opencv(farneback), "DIS": by_opencv(dis)}
    for model in models:
        network, variables, config = loading.load_model(model)
        if config["family"] != "gmflow":
            raise SystemExit(f"{model}: is a {config['family']}, not a gmflow")
        methods[f"GMFlow {model}"] = by_network(network, variables)
    return methods


def measure(method: Method, clips: list[Clip]) -> tuple[dict[str, float], float]:
    """(mean errors in pixels, milliseconds a pair); the first clip is run twice."""
    method(clips[0].frames)
    began = time.perf_counter()
    flows = [method(clip.frames) for clip in clips]
    seconds = time.perf_counter() - began
    sums = sum(
        np.asarray(error_sums(flow, clip.flow, clip.hidden), np.float64)
        for clip, flow in zip(clips, flows, strict=True)
    )
    means = {
        name: float(error / number) if number else float("nan")
        for name, (error, number) in zip(METRICS, sums, strict=True)
    }
    return means, 1e3 * seconds / sum(len(clip.flow) for clip in clips)


def main() -> None:
    """Prints a table for each kind of scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=40, help="of each kind")
    parser.add_argument("--size", type=int, default=112, help="pixels")
    parser.add_argument(
        "--model", nargs="*", default=[], metavar="FOLDER", help="trained GMFlows"
    )
    args = parser.parse_args()
    methods = find_methods(args.model)
    print(
        f"{args.scenes} scenes of {FRAMES} frames of {args.size} x {args.size} each, "
        f"{jax.devices()[0].device_kind}"
    )
    for kind in KINDS:
        clips = render_clips(kind, args.scenes, args.size)
        print(f"\n| {kind} | {' | '.join(METRICS)} | ms |\n|" + "---|" * 6)
        for name, method in methods.items():
            means, spent = measure(method, clips)
            row = " | ".join(f"{means[part]:.2f}" for part in means)
            print(f"| {name} | {row} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
