"""All that marks audible moments of a file, with PyTorch: decoding, flow, TA2Net, windows, peaks.

From what is known of the released data path (native rate, 112 x 112 without keeping the aspect, flow
as pictures of colours by the longest vector of each frame, inflection as their difference), with
windows as ours: 64 frames that overlap by half, joined by Hann weights. Decoded by PyAV on as many
threads as it likes; a frame is shrunk by the pixels that are needed; one window at a time.
"""

from collections.abc import Iterator

import av
import numpy as np
import scipy.signal
import torch

from benchmarks.torch_reference.quick_gmflow import QuickGMFlow
from benchmarks.torch_reference.ta2net import TA2Net

APART, THRESHOLD = 4, 0.5
EDGE = 1e-3  # weight of a window's ends, so that a video's ends have one
# Where the wheel of hues has its corners (Baker et al., 2011), and of 55 places how many each side
# takes: red, yellow, green, cyan, blue, magenta.
HUES = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))
SIDES = (15, 6, 4, 11, 13, 6)


def hue_wheel() -> torch.Tensor:
    """[55, 3] in 0 to 1."""
    sides = []
    for start, end, places in zip(HUES[:-1], HUES[1:], SIDES, strict=True):
        share = torch.arange(places) / places
        sides.append(torch.stack([a + (b - a) * share for a, b in zip(start, end)], 1))
    return torch.cat(sides)


def flow_pictures(flow: torch.Tensor, wheel: torch.Tensor) -> torch.Tensor:
    """Flow [N, 2, H, W] as pictures [N, 3, H, W] in 0 to 1, white where nothing moves."""
    right, down = flow.unbind(1)
    speed = torch.hypot(right, down)
    speed = speed / speed.amax(dim=(1, 2), keepdim=True).clamp_min(1e-5)
    turn = torch.atan2(-down, -right) / torch.pi
    place = (turn + 1) / 2 * (len(wheel) - 1)
    before = place.floor()
    share = (place - before).unsqueeze(-1)
    before = before.long()
    hue = torch.lerp(wheel[before], wheel[(before + 1) % len(wheel)], share)
    return (1 - speed.unsqueeze(-1) * (1 - hue)).permute(0, 3, 1, 2)


class JoinedWindows:
    """Probabilities of overlapping windows, averaged with more weight to their middles."""

    def __init__(self, frames: int):
        self._weights = torch.hann_window(frames + 2, periodic=False)[1:-1] + EDGE
        self._parts: list[tuple[int, int, torch.Tensor]] = []

    def add(self, start: int, valid: int, values: torch.Tensor) -> None:
        """Adds values [N] of a window, of which so many are of real frames."""
        self._parts.append((start, valid, values))

    def joined(self) -> np.ndarray:
        """[T] of all frames."""
        end = max(start + valid for start, valid, _ in self._parts)
        total, sums = torch.zeros(end), torch.zeros(end)
        for start, valid, values in self._parts:
            weights = self._weights[:valid]
            total[start : start + valid] += weights
            sums[start : start + valid] += weights * values[:valid]
        return (sums / total).numpy()


def windows(
    frames: Iterator[torch.Tensor], length: int
) -> Iterator[tuple[int, int, torch.Tensor]]:
    """(first frame, how many are real, frames [N, ...]) of windows that overlap by half.

    The last one ends with the video; a shorter video is filled up with its last frame.
    """
    held: list[torch.Tensor] = []
    half = length // 2
    first, start = 0, 0  # the first frame held, the next window's start
    for frame in frames:
        held.append(frame)
        if first + len(held) == start + length:
            yield start, length, torch.stack(held[start - first :])
            start += half
            # The last window may begin up to half a window before the next one would.
            gone = start - half - first
            held, first = held[gone:], first + gone
    end = first + len(held)
    last = max(0, end - length)
    if held and (not start or last > start - half):
        real = held[last - first :]
        yield last, len(real), torch.stack(real + [real[-1]] * (length - len(real)))


def decoded(path: str, size: int) -> Iterator[torch.Tensor]:
    """Frames of a file, uint8 [3, S, S]."""
    with av.open(path) as file:
        stream = file.streams.video[0]
        stream.thread_type = "AUTO"
        taps = None
        for frame in file.decode(stream):
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24"))
            if taps is None:
                taps = [_taps(length, size) for length in pixels.shape[:2]]
            yield _shrunk(pixels, *taps)


def _taps(old: int, new: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bilinear, centres upon centres: places before and after, and the share of the latter."""
    place = (torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    place = place.clamp(0, old - 1)
    before = place.floor().long()
    return before, (before + 1).clamp_max(old - 1), (place - before).float()


def _shrunk(pixels: torch.Tensor, rows: tuple, columns: tuple) -> torch.Tensor:
    """Bytes [H, W, 3] to [3, S, S], of which only those that are needed become floats."""
    top, bottom, down = rows
    left, right, across = columns
    both = pixels[torch.stack([top, bottom])]  # [2, S, W, 3]
    first, second = both[:, :, left].float(), both[:, :, right].float()
    upper, lower = first + across[:, None] * (second - first)
    found = upper + down[:, None, None] * (lower - upper)
    return (found + 0.5).floor().byte().permute(2, 0, 1)


class EventMarker:
    """Marks events.

    Args:
      network: in eval mode.
      flow: likewise.
      length: frames of a window.
      size: of a picture's side that the networks see.
      way: "eager", "channels_last", or "compile", which is of both.
    """

    def __init__(
        self,
        network: TA2Net,
        flow: QuickGMFlow,
        length: int = 64,
        size: int = 112,
        way: str = "eager",
    ):
        self._length, self._size, self._wheel = length, size, hue_wheel()
        self._layout = torch.contiguous_format
        if way != "eager":
            self._layout = torch.channels_last
        for module in (*network.modules(), *flow.modules()):
            if isinstance(module, torch.nn.Conv2d):
                module.to(memory_format=self._layout)
            elif isinstance(module, torch.nn.Conv3d) and way != "eager":
                module.to(memory_format=torch.channels_last_3d)
            elif isinstance(module, torch.nn.Conv3d):
                module.to(memory_format=torch.contiguous_format)
        self._network, self._flow = network, flow
        if way == "compile":
            self._network, self._flow = map(torch.compile, (network, flow))

    def windows(self, path: str) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Windows of a file, see `windows`: uint8 [N, 3, S, S]."""
        return windows(decoded(path, self._size), self._length)

    @torch.inference_mode()
    def flow(self, window: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow [N - 1, 2, S, S] of a window, there and back."""
        return self._flow(window.float().contiguous(memory_format=self._layout))

    @torch.inference_mode()
    def look(self, window: torch.Tensor) -> torch.Tensor:
        """The probability of every frame of a window, [N]."""
        # Ours keeps flow in half of the bits; differences of pictures show it.
        there, back = (way.bfloat16().float() for way in self.flow(window))
        # Where a flow is missing, at an end, its neighbour's.
        forward = flow_pictures(torch.cat([there, there[-1:]]), self._wheel)
        backward = flow_pictures(torch.cat([back[:1], back]), self._wheel)
        later = torch.cat([forward[1:], forward[-1:]])
        earlier = torch.cat([backward[:1], backward[:-1]])
        flow = backward, forward
        inflection = earlier - backward, later - forward

        def laid_out(x: torch.Tensor) -> torch.Tensor:
            return x.contiguous(memory_format=self._layout)[None]

        logits, *_ = self._network(
            laid_out(window / 255),
            tuple(map(laid_out, flow)),
            tuple(map(laid_out, inflection)),
        )
        return logits[0].softmax(-1)[:, 1]

    def probabilities(self, path: str) -> np.ndarray:
        """The probability of every frame of a file, [T]."""
        found = JoinedWindows(self._length)
        for start, valid, window in self.windows(path):
            found.add(start, valid, self.look(window))
        return found.joined()

    def mark(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Events of a file: their frames [K], and how probable each is [K]."""
        found = self.probabilities(path)
        padded = np.pad(found, 1, constant_values=-1.0)  # the ends may be peaks, too
        peaks, _ = scipy.signal.find_peaks(padded, height=THRESHOLD, distance=APART)
        return peaks - 1, found[peaks - 1]
