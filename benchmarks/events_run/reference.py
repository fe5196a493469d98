"""The PyTorch side: it draws the weights, and runs in the fastest of the ways that are asked for."""

import pathlib
import time

import numpy as np
import torch

from benchmarks.events_run.sizes import WEIGHTS, Sizes
from benchmarks.torch_reference.event_marker import EventMarker
from benchmarks.torch_reference.gmflow import soften
from benchmarks.torch_reference.layers import randomise
from benchmarks.torch_reference.quick_gmflow import QuickGMFlow
from benchmarks.torch_reference.ta2net import TA2Net
from benchmarks.torch_reference.transrac import HEADS

BASE, FLOW_CHANNELS, FLOW_HIDDEN = 64, (64, 96, 128), 256


@torch.no_grad()
def draw_networks(sizes: Sizes) -> tuple[TA2Net, QuickGMFlow]:
    """Networks of random weights."""
    torch.manual_seed(0)  # of what `randomise` leaves as it begins
    network = randomise(TA2Net(round(BASE * sizes.width), sizes.frames))
    for name, tensor in network.named_parameters():
        if "in_proj" in name:
            tensor.normal_(0, 0.1)
    wide, hidden = (
        [round(n * sizes.flow_width) for n in group]
        for group in (FLOW_CHANNELS, [FLOW_HIDDEN])
    )
    flow = randomise(
        QuickGMFlow(wide=tuple(wide), blocks=sizes.flow_blocks, hidden=hidden[0])
    )
    soften(flow)
    return network, flow


@torch.no_grad()
def _soften_attention(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Scales an attention's queries so that its scores have a deviation of 1."""
    image, motion = inputs
    query = layer.query_conv(image).flatten(2).transpose(1, 2)
    _scale(layer.query_conv, query @ layer.key_conv(motion).flatten(2), query.shape[-1])


@torch.no_grad()
def _soften_similarities(layer: torch.nn.Module, inputs: tuple) -> None:
    """Likewise the similarities' of frames."""
    features, divisor = inputs
    query, key = (
        one(features).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for one in (layer.linear_q, layer.linear_k)
    )
    _scale(layer.linear_q, query @ key.transpose(-1, -2), divisor)


def _scale(layer: torch.nn.Module, scores: torch.Tensor, divisor: int) -> None:
    found = (scores - scores.mean(-1, keepdim=True)).std() / divisor**0.5
    layer.weight.div_(found)
    layer.bias.div_(found)


@torch.no_grad()
def _spread_logits(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Scales the last layer so that frames' logits lie around 0 with a deviation of 1."""
    silence, sound = layer.forward(inputs[0]).unbind(-1)
    found = sound - silence
    layer.weight.div_(found.std())
    layer.bias.zero_()
    silence, sound = layer.forward(inputs[0]).unbind(-1)
    layer.bias[1] -= (sound - silence).mean()


def settle(network: TA2Net, marker: EventMarker, window: torch.Tensor) -> None:
    """Scales random weights by what they make of a window.

    As they are drawn all softmaxes are hard, so that rounding decides which of two places is
    looked at, and what is said hardly differs from frame to frame.
    """
    decoder = network.sim_decoder
    hooks = [
        part.register_forward_pre_hook(hook)
        for part, hook in (
            (network.v2f, _soften_attention),
            (network.v2df, _soften_attention),
            (decoder.sims, _soften_similarities),
            (decoder.cls.layers[7], _spread_logits),
        )
    ]
    marker.look(window)
    for hook in hooks:
        hook.remove()


def save(network: torch.nn.Module, path: pathlib.Path) -> None:
    """Leaves a state dict for the other side."""
    np.savez(path, **{name: t.numpy() for name, t in network.state_dict().items()})


class Side:
    """One side.

    Args:
      video: a file.
      folder: where the weights are left for the other side.
      ways: see `EventMarker`; where there are several, each looks at a window twice, and the one
        whose second look is the fastest is taken.
      sizes: of the networks.

    Attributes:
      version: of the library.
      way, way_s: the way taken, and the seconds of each that was tried.
    """

    def __init__(
        self, video: str, folder: pathlib.Path, ways: tuple[str, ...], sizes: Sizes
    ):
        self.version = f"torch {torch.__version__}"
        self._video, self._sizes = video, sizes
        self._networks = draw_networks(sizes)
        marker = self._built("eager")
        _, _, window = next(marker.windows(video))
        settle(self._networks[0], marker, window)
        for name, network in zip(WEIGHTS, self._networks, strict=True):
            save(network, folder / WEIGHTS[name])
        self.way, self.way_s = ways[0], {}
        if len(ways) > 1:
            self.way_s = {way: self._try(way) for way in ways}
            self.way = min(self.way_s, key=self.way_s.get)
        self._marker = self._built(self.way)
        self._windows: list[torch.Tensor] = []

    def _built(self, way: str) -> EventMarker:
        return EventMarker(*self._networks, self._sizes.frames, self._sizes.size, way)

    def _try(self, way: str) -> float:
        """Seconds of a window."""
        marker = self._built(way)
        _, _, window = next(marker.windows(self._video))
        marker.look(window)
        began = time.perf_counter()
        marker.look(window)
        return time.perf_counter() - began

    def probabilities(self) -> np.ndarray:
        """The probability of every frame, [T], in a whole run."""
        return self._marker.probabilities(self._video)

    def mark(self) -> int:
        """Events of the file."""
        frames, _ = self._marker.mark(self._video)
        return len(frames)

    def hold_windows(self) -> int:
        """Decodes the file's windows for `flow`; how many there are."""
        self._windows = [window for _, _, window in self._marker.windows(self._video)]
        return len(self._windows)

    def flow(self) -> None:
        """The flow of all windows that are held, there and back."""
        for window in self._windows:
            self._marker.flow(window)
