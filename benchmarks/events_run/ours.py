"""Our side: a model folder that is counted as `rac events` does."""

import pathlib
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from benchmarks.events_run.sizes import WEIGHTS, Sizes
from rac_jax.counting import weights
from rac_jax.counting.batching import plan_batches
from rac_jax.counting.estimator import SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.frame_windows import WindowAssembler
from rac_jax.counting.source import FileSource
from rac_jax.encoders.conversion import encoder_table
from rac_jax.encoders.gmflow import GMFlow
from rac_jax.models import loading
from rac_jax.models.repnet.network import normalised
from rac_jax.models.ta2net import FAMILY, conversion
from rac_jax.models.ta2net.estimator import CPU_BATCH_SIZES, STRIDE
from rac_jax.models.ta2net.network import FLOW_NETWORK
from rac_jax.ops import compiling


def released_model(
    folder: pathlib.Path, sizes: Sizes
) -> tuple[dict[str, Any], Variables]:
    """The `config.json` and the variables of what the other side has drawn."""
    config = conversion.config_of()
    config["arguments"] |= {"width": sizes.width, "frames": sizes.frames}
    config["preprocessing"]["size"] = sizes.size
    # The release's flow has no weights: its network's come from a table of their own.
    network = FAMILY.network(**config["arguments"])
    with np.load(folder / WEIGHTS["ta2net"]) as file:
        flat = conversion.arrays_of(network, dict(file))
    table = encoder_table("gmflow", GMFlow(sizes.flow_width, blocks=sizes.flow_blocks))
    with np.load(folder / WEIGHTS["flow"]) as file:
        for path, array in table.to_jax(dict(file)).items():
            flat[path.replace("params", f"params/{FLOW_NETWORK}", 1)] = array
    config["arguments"]["flow"] = "gmflow"
    return config, flax.traverse_util.unflatten_dict(flat, sep="/")


class Side:
    """Our side of the comparison; see `reference.Side`."""

    way, way_s = "jit", {}

    def __init__(
        self, video: str, folder: pathlib.Path, ways: tuple[str, ...], sizes: Sizes
    ):
        del ways
        # What others have compiled before would be no first run.
        jax.config.update("jax_compilation_cache_dir", None)
        self.version = f"jax {jax.__version__}"
        self._video, self._sizes = video, sizes
        config, variables = released_model(folder, sizes)
        self._counter = loading.load(
            weights.save_model(folder / "model", config, variables)
        )
        self._windows: list[np.ndarray] = []
        network, variables = self._counter.network, self._counter.variables
        run = compiling.jit(
            lambda v, x: network.apply(v, normalised(x), method="features")[1:]
        )
        self._flow = lambda windows: run(variables, windows)

    def probabilities(self) -> np.ndarray:
        """The probability of every frame, [T]: a count whose windows are not yet read for peaks."""
        counter = self._counter
        options = counter.options()
        source = FileSource(self._video, counter.family.needs(counter.config, options))
        info = SourceInfo(source.name, 0.0, source.fps, True, False)
        state = counter.estimator.start(info, options)
        for chunk in source.chunks():
            state, _ = counter.estimator.feed(state, chunk)
        rows = state.windows.copy().finish()[STRIDE]
        return rows[:, 0].astype(np.float32)

    def mark(self) -> int:
        """Events of the file."""
        return len(self._counter.count(self._video).events)

    def hold_windows(self) -> int:
        """Decodes the file's windows for `flow`; how many there are."""
        counter, length = self._counter, self._sizes.frames
        source = FileSource(
            self._video, counter.family.needs(counter.config, counter.options())
        )
        assembler = WindowAssembler((STRIDE,), length, length // 2)
        found = [
            window
            for chunk in source.chunks()
            for window in assembler.feed(chunk.frames, chunk.times_s)
        ]
        self._windows = [one.frames for one in found + assembler.finish()]
        return len(self._windows)

    def flow(self) -> None:
        """The flow of all windows that are held, there and back."""
        first = 0
        for size in plan_batches(len(self._windows), CPU_BATCH_SIZES):
            batch = np.stack(self._windows[first : first + size])
            jax.block_until_ready(self._flow(batch))
            first += size
