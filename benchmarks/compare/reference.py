"""The PyTorch side, given its best: the fastest of several ways to run it is the one compared."""

import contextlib
import pathlib
import statistics
import time

import numpy as np
import torch
from torch import nn

from benchmarks.compare import cases
from benchmarks.compare.cases import Case
from benchmarks.compare.suites import SUITES
from benchmarks.torch_reference import (
    lmrl,
    paper,
    quick_transrac,
    quick_video_swin,
    r2plus1d,
    release,
    repnet,
    resnet,
    s3d,
)
from benchmarks.torch_reference.layers import randomise
from benchmarks.torch_reference.released_procedure import ReleasedProcedure

ENCODERS = {"s3d": s3d.S3D, "r2plus1d18": r2plus1d.R2Plus1D18}
TRIALS = 3  # steps that choose among the ways
# Nearly all of these are matrix products of tokens, which are channels last whatever the layout of
# convolutions is.
OF_TOKENS = ("swin", "transrac", "lmrl")


class Encoder(nn.Module):
    """An encoder's pooled features, [B, C]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x):
        return {"features": self.network(x).features}


class FeatureMap(nn.Module):
    """What an encoder without pooling gives, channels last as ours, [B, T, H, W, C]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x):
        return {"features": self.network(x).permute(0, 2, 3, 4, 1)}


class StrideScore(nn.Module):
    """The ranker's score of clips with their sound, [B]."""

    def __init__(self, system: paper.SightSound):
        super().__init__()
        self.network = system

    def forward(self, clips, spectrograms):
        sight = self.network.sight_encoder(clips).stage3
        sound = self.network.sound_encoder(spectrograms).stage3
        return {"score": self.network.ranker(sight, sound)}


class System(nn.Module):
    """The whole system, every number that it gives."""

    def __init__(self, system: paper.SightSound):
        super().__init__()
        self.network = system

    def forward(self, clips, spectrograms):
        out = self.network(clips, spectrograms)
        names = ("sight_count", "sound_count", "score", "solo_score", "reliability")
        return {name: out[name] for name in names}


class Counter(nn.Module):
    """A network that counts by itself, what it gives by name."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, clips):
        found = self.network(clips)
        found = found if isinstance(found, tuple) else (found,)
        # What comes after the names is for looking at.
        return dict(zip(self.names, found, strict=False))


class SelfSimilarity(nn.Module):
    """Relative squared distances in lag coordinates, [B, T, L]."""

    def __init__(self, frames: int):
        super().__init__()
        self.network = nn.Identity()
        row = torch.arange(frames)[:, None]
        column = row + torch.arange(cases.FIRST_LAG, cases.LAST_LAG + 1)
        self.register_buffer("column", column.clamp(0, frames - 1))
        self.register_buffer("valid", (column < frames).float())

    def forward(self, features):
        x = features.float()
        x = x - x.mean(dim=1, keepdim=True)
        squares = x.square().sum(dim=-1)
        products = torch.bmm(x, x.transpose(1, 2))
        distances = squares[:, :, None] + squares[:, None, :] - 2 * products
        distances = distances.clamp_min(0)
        distances = distances / distances.mean(dim=(1, 2), keepdim=True).clamp_min(1e-9)
        column = self.column.expand(len(x), -1, -1)
        return {"sheared": distances.gather(2, column) * self.valid}


def mean_squares(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What both sides train towards zero."""
    return sum(value.float().square().mean() for value in outputs.values())


def build_network(case: Case) -> nn.Module:
    """The network of a case, with random weights; `network` in it has the public names."""
    if case.suite == "sight":
        return Encoder(randomise(ENCODERS[case.encoder]()))
    if case.suite == "sound":
        return Encoder(randomise(resnet.ResNet18()))
    if case.suite == "swin":
        return FeatureMap(randomise(narrow_swin(case.width)))
    if case.suite == "tsm":
        return SelfSimilarity(case.frames)
    if names := SUITES[case.suite].outputs:
        return Counter(build_counter(case), names)
    system = randomise(paper.SightSound())
    return StrideScore(system) if case.suite == "stride" else System(system)


def narrow_swin(width: float) -> nn.Module:
    """A Video Swin with so many times the published channels."""
    return quick_video_swin.VideoSwin(round(96 * width), max(1, round(3 * width)))


def build_counter(case: Case) -> nn.Module:
    """The network of a suite that counts by itself, with random weights and without dropout."""
    torch.manual_seed(0)  # of the attention's weights, which are left as they begin
    wide = round(512 * case.width)
    if case.suite == "repnet":
        base = round(64 * case.width)
        network = randomise(repnet.RepNet(64, "vector", base, wide, case.frames))
        with torch.no_grad():
            # Distances of the size that the softmax's temperature is made for: beyond it the
            # similarity of noise would be an identity, through which nothing is learned.
            network.temporal_conv[1].weight.mul_(1.6 * wide**-0.5)
    else:
        kinds = {"transrac": quick_transrac.TransRAC, "lmrl": lmrl.LMRL}
        backbone = narrow_swin(case.width)
        network = randomise(kinds[case.suite](backbone, wide, case.frames))
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return network


class Side:
    """The PyTorch side of a case.

    Args:
      case: what to run.
      ways: which of "eager", "channels_last" and "compile" to try.
      folder: where the weights are left for the other side.

    Attributes:
      version: of PyTorch.
      way, way_ms: the fastest of `ways`, and what each took, in milliseconds.
      compile_s: how long the fastest took to be ready, in seconds.
      flops, bytes: of a step; PyTorch does not tell.
      step: runs the case once and waits for it.
    """

    flops: float | None = None
    bytes: float | None = None

    def __init__(self, case: Case, ways: tuple[str, ...], folder: pathlib.Path):
        self.case = case
        self.device = torch.device("cuda" if case.device == "gpu" else "cpu")
        if case.device == "gpu" and not torch.cuda.is_available():
            raise SystemExit("device gpu: PyTorch finds none")
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        self.version = torch.__version__
        if case.mode == "count":
            self._build_procedure(folder)
            return
        if case.suite in OF_TOKENS:
            ways = tuple(way for way in ways if way != "channels_last") or ("eager",)
        network = build_network(case)
        state = {k: v.numpy().copy() for k, v in network.network.state_dict().items()}
        np.savez(folder / "weights.npz", **state)
        if case.mode == "train":
            self._learning_rate = self._choose_learning_rate(network)
            np.save(folder / "learning_rate.npy", self._learning_rate)
        self.compile_s, self.way_ms = 0.0, {}
        best = None
        for way in ways:
            began = time.perf_counter()
            step = self._build(network, way)
            step()
            first_s = time.perf_counter() - began
            step()
            spent = statistics.median(self._timed(step) for _ in range(TRIALS))
            self.way_ms[way] = 1e3 * spent
            if best is None or spent < best[0]:
                best = (spent, way, first_s)
        _, self.way, self.compile_s = best
        # From the first weights again, so that both sides' losses can be compared.
        with torch.no_grad():
            for name, tensor in network.network.state_dict().items():
                tensor.copy_(torch.from_numpy(state[name]))
        self.step = self._build(network, self.way)

    def _build_procedure(self, folder: pathlib.Path) -> None:
        networks = release.Release().eval().to(self.device)
        release.save(networks, folder)
        frames, waveform = cases.draw_video(self.case)
        self.way, self.way_ms, self.compile_s = "eager", {}, 0.0

        def step():
            return ReleasedProcedure(networks, frames, waveform).count()

        self.step = step

    def _build(self, network: nn.Module, way: str):
        """A function without arguments that runs the case once and waits for it."""
        case = self.case
        network = network.to(self.device).train(case.mode == "train")
        inputs = [
            self._laid_out(array, way) for array in cases.draw_inputs(case).values()
        ]
        # The layout of PyTorch's fast kernels, of weights as of inputs.
        if way != "eager":
            for module in network.modules():
                if isinstance(module, nn.Conv3d):
                    module.to(memory_format=torch.channels_last_3d)
                elif isinstance(module, nn.Conv2d):
                    module.to(memory_format=torch.channels_last)
        run = network
        if way == "compile":
            torch.compiler.reset()
            best = "max-autotune" if case.device == "gpu" else "default"
            run = torch.compile(network, mode=best)
        # One step: inference, or SGD with momentum on all parameters.
        if case.mode == "forward":

            def step():
                with torch.inference_mode(), self._cast():
                    out = run(*inputs)
                self._wait()
                return out

            return step
        optimiser = torch.optim.SGD(
            network.parameters(),
            lr=self._learning_rate,
            momentum=cases.MOMENTUM,
            fused=True,
        )

        def train_step():
            optimiser.zero_grad(set_to_none=True)
            with self._cast():
                loss = mean_squares(run(*inputs))
            loss.backward()
            optimiser.step()
            self._wait()
            return {"loss": loss.detach()}

        return train_step

    def _choose_learning_rate(self, network: nn.Module) -> float:
        """So small that the loss falls along its slope, so large that a wrong slope shows.

        With random weights the whole system's gradient is a thousand times its loss: a plain
        rate throws both sides far off, where rounding decides where they land.
        """
        network = network.to(self.device).train()
        arrays = cases.draw_inputs(self.case).values()
        with self._cast():
            loss = mean_squares(network(*(self._laid_out(x, "eager") for x in arrays)))
        loss.backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        slope = sum(g.double().square().sum().item() for g in gradients)
        network.zero_grad(set_to_none=True)
        return cases.DESCENT * loss.item() / slope

    def _cast(self):
        if self.case.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _laid_out(self, array: np.ndarray, way: str) -> torch.Tensor:
        if array.ndim == 5:
            tensor = torch.from_numpy(np.moveaxis(array, -1, 1).copy())
            if way != "eager":
                tensor = tensor.to(memory_format=torch.channels_last_3d)
        elif array.ndim == 3 and self.case.suite != "tsm":
            tensor = torch.from_numpy(array[:, None])
        else:
            tensor = torch.from_numpy(array)
        return tensor.to(self.device)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    @staticmethod
    def _timed(step) -> float:
        began = time.perf_counter()
        step()
        return time.perf_counter() - began

    def outputs(self) -> dict[str, np.ndarray]:
        """What the first run gives (inference), or the losses of the first three steps."""
        case = self.case
        if case.mode == "count":
            answer = self.step()
            return {
                "sight": np.array(answer.sight),
                "sound": np.array(answer.sound),
                "stride": np.array(answer.stride),
            }
        if case.mode == "train":
            return {f"loss{i}": self.step()["loss"].cpu().numpy() for i in range(3)}
        return {name: v.float().cpu().numpy() for name, v in self.step().items()}

    def peak_mb(self) -> float | None:
        """Of the GPU's memory; None on CPU, where the process's own peak is taken."""
        if self.device.type == "cpu":
            return None
        return torch.cuda.max_memory_allocated() / 2**20
