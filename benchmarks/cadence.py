"""What the cadence of a container and a codec does to counts of scenes.

    python -m benchmarks.cadence [--scenes N] [--model NAME] [--damages NAME ...]

Renders scenes that repeat and scenes of a moving camera that do not, repeats frames of them as
containers do, encodes and decodes them at low rates, and prints how the counts change: the largest
change of any scene, and the largest count where nothing repeats and nothing was counted before.
"""

import argparse
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Mapping

import av
import jax
import numpy as np

import rac_jax
from rac_jax.counting.counter import Counter
from rac_jax.scenes import SceneConfig, render_scene

FPS = 25
REPEATING = SceneConfig(
    frames=160, fps=FPS, period=(8.0, 40.0), pause=0.0, shot_change=0.0, still=0.0
)
CAMERA = dataclasses.replace(
    REPEATING, still=1.0, gestures=0.0, distractor=0.0, camera=1.5
)

# Laws that a count should fulfil.
MOST_CHANGE = 0.3
MOST_ON_CAMERA = 0.0


def repeat_every(frames: np.ndarray, number: int) -> np.ndarray:
    """Shows every `number`-th frame twice."""
    last = np.arange(len(frames)) % number == number - 1
    return np.repeat(frames, 1 + last, axis=0)


def pulldown(frames: np.ndarray) -> np.ndarray:
    """Shows frames two and three times in turn, as 24 per second are shown at 60."""
    return np.repeat(frames, 2 + np.arange(len(frames)) % 2, axis=0)


def encoded(frames: np.ndarray, codec: str, options: Mapping[str, str]) -> np.ndarray:
    """Encodes and decodes frames uint8 [T, H, W, 3]; as many come back."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "scene.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=FPS, options=dict(options))
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        with av.open(str(path)) as container:
            found = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    if len(found) != len(frames):
        raise RuntimeError(f"{codec}: {len(frames)} frames became {len(found)}")
    return np.stack(found)


def h264(crf: int, between: int) -> Callable[[np.ndarray], np.ndarray]:
    """H.264 at a quality, with so many B-frames between others, of lower quality than those."""
    options = {
        "crf": str(crf),
        "bf": str(between),
        "x264-params": "b-adapt=0:scenecut=0:pbratio=2",
    }
    return lambda frames: encoded(frames, "libx264", options)


# Every damage gives frames and how many there are for one before, so that they last as long.
DAMAGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    **{
        f"every {n}": (lambda frames, n=n: repeat_every(frames, n), (n + 1) / n)
        for n in range(2, 7)
    },
    "3:2 pulldown": (pulldown, 2.5),
    "every 4, H.264": (lambda frames: h264(28, 2)(repeat_every(frames, 4)), 1.25),
    "H.264 crf 32, 2 B": (h264(32, 2), 1.0),
    "H.264 crf 38, 3 B": (h264(38, 3), 1.0),
    "MPEG-4, 2 B": (
        lambda frames: encoded(frames, "mpeg4", {"bf": "2", "qmin": "12", "qmax": "12"}),
        1.0,
    ),
    "VP9": (
        lambda frames: encoded(
            frames, "libvpx-vp9", {"crf": "50", "b": "0", "cpu-used": "8"}
        ),
        1.0,
    ),
}  # fmt: skip


def render(config: SceneConfig, number: int) -> list[np.ndarray]:
    """Frames [T, H, W, 3] of scenes, of one sequence of keys."""
    drawn = jax.jit(lambda key: render_scene(key, config).frames)
    return [np.asarray(drawn(jax.random.key(100 + index))) for index in range(number)]


def count(counter: Counter, frames: np.ndarray, ratio: float = 1.0) -> float:
    """Repetitions by sight, of frames at so many times the usual rate."""
    return counter.count(frames, fps=FPS * ratio, sound=False).count


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=8, help="of each of both kinds")
    parser.add_argument("--model", default="compact")
    parser.add_argument("--damages", nargs="+", choices=DAMAGES, default=list(DAMAGES))
    args = parser.parse_args()
    counter = rac_jax.load(args.model)
    repeating, camera = render(REPEATING, args.scenes), render(CAMERA, args.scenes)
    plain = [count(counter, frames) for frames in repeating]
    still = [count(counter, frames) for frames in camera]
    print(f"undamaged: {np.round(plain, 2).tolist()}, {np.round(still, 2).tolist()}")
    # Only a scene that counts 0 as it is can be left at 0.
    camera = [one for one, found in zip(camera, still, strict=True) if found == 0]
    print(f"{len(repeating)} scenes that repeat, {len(camera)} of a moving camera")
    print("| damage | largest change | scenes over .3 | camera: largest | over 0 |")
    print("|---|---|---|---|---|")
    for name in args.damages:
        damage, ratio = DAMAGES[name]
        after = [count(counter, damage(frames), ratio) for frames in repeating]
        change = np.abs(np.subtract(after, plain))
        found = np.array([count(counter, damage(frames), ratio) for frames in camera])
        print(
            f"| {name} | {change.max():.2f} | {(change > MOST_CHANGE).sum()} "
            f"| {found.max():.2f} | {(found > MOST_ON_CAMERA).sum()} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
