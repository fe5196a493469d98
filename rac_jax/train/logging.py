"""Metrics of a run: JSON lines, TensorBoard event files, and a line or a bar for people."""

import contextlib
import json
import logging
import pathlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import tensorboardX
import tqdm

from rac_jax import drafts

LOG = logging.getLogger("rac_jax.train")
METRICS_FILE = "metrics.jsonl"
# Short, so that the pace is still seen in 80 columns; the metrics come after it.
BAR = "{desc} {bar:5} {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
# What takes less than this is not worth a word.
WORTH_SAYING_S = 1.0
# Where lines stay, they come less often than a terminal's line is written anew.
LOG_EVERY_S, TERMINAL_EVERY_S = 60.0, 1.0


class MetricWriter:
    """Writes scalars of one stage; only the first process of a run should make one that writes.

    After a restart the lines from the step that is taken up again on are written anew, so the
    file reads as if the run had never stopped.
    """

    def __init__(self, folder: pathlib.Path, first_step: int, active: bool = True):
        """Opens the files.

        Args:
          folder: of the stage.
          first_step: the step that the run goes on with; later lines are dropped.
          active: false to write nothing.
        """
        self._active = active
        if not active:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / METRICS_FILE
        earlier = [line for line in _lines(path) if line["step"] <= first_step]
        with drafts.draft_file(path) as draft:
            text = "".join(json.dumps(line) + "\n" for line in earlier)
            draft.write_text(text, encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        # Readers of event files drop what an interrupted run had written past this step.
        self._events = tensorboardX.SummaryWriter(
            str(folder / "events"), purge_step=first_step + 1 if first_step else None
        )

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Appends one line: {"step", "kind", ...values}; None where a value is not finite."""
        if not self._active:
            return
        finite = {k: v if abs(v) < float("inf") else None for k, v in values.items()}
        line = {"step": step, "kind": kind} | finite
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Closes the files."""
        if self._active:
            self._file.close()
            self._events.close()


def _lines(path: pathlib.Path) -> list[dict]:
    """Whole lines of a metrics file; a last line cut by a kill is left out."""
    rows = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(text))
            except ValueError:
                break
    return rows


@contextlib.contextmanager
def busy(what: str, active: bool = True) -> Iterator[None]:
    """Says that something takes its time, and how much it has taken so far.

    On a terminal in a line that goes away; otherwise in plain lines, the last of which says what
    it took. What is done within a second is not mentioned.

    Args:
      what: in plain words.
      active: false to say nothing.
    """
    terminal = sys.stderr.isatty()
    began, done = time.monotonic(), threading.Event()
    line = None

    def say() -> None:
        nonlocal line
        pause_s = WORTH_SAYING_S
        while not done.wait(pause_s):
            text = f"{what}, {_duration(time.monotonic() - began)} so far"
            if not terminal:
                LOG.info("%s", text)
            elif line is None:
                line = tqdm.tqdm(desc=text, bar_format="{desc}", leave=False)
            else:
                line.set_description_str(text)
            pause_s = TERMINAL_EVERY_S if terminal else LOG_EVERY_S

    speaker = threading.Thread(target=say, daemon=True)
    if active:
        speaker.start()
    try:
        yield
    finally:
        done.set()
        if active:
            speaker.join()
        spent = time.monotonic() - began
        if line is not None:
            line.close()
        elif active and spent >= WORTH_SAYING_S:
            LOG.info("%s took %s", what, _duration(spent))


def _duration(seconds: float) -> str:
    """Whole seconds, and minutes where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """Throughput of a stage: a bar on a terminal, plain lines otherwise.

    Time is split into waiting for data and the rest, which is computing.
    """

    def __init__(self, name: str, steps: int, done: int, batch: int, active: bool):
        self._name, self._steps, self._batch = name, steps, batch
        self._active = active
        self._bar = tqdm.tqdm(
            total=steps,
            initial=done,
            desc=name,
            bar_format=BAR,
            disable=not (active and sys.stderr.isatty()),
        )
        self._begin()

    def _begin(self) -> None:
        self._since, self._waited, self._taken = time.monotonic(), 0.0, 0

    def validated(self, step: int, scores: Mapping[str, float]) -> None:
        """Shows scores, and leaves out the time since the last report.

        Args:
          step: steps taken.
          scores: of the validation.
        """
        text = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        line = f"{self._name} {step}/{self._steps}  validation: {text}"
        if not self._bar.disable:
            # Above the bar, which goes on below.
            self._bar.write(line, file=sys.stderr)
        elif self._active:
            LOG.info("%s", line)
        self.restart()

    def restart(self) -> None:
        """Leaves out the time of whatever else was done since the last report."""
        self._begin()
        if not self._bar.disable:
            self._bar.unpause()

    def fetched(self, waited_s: float) -> None:
        """Notes that a step has waited so long for its data."""
        self._waited += waited_s

    def step(self) -> None:
        """Notes a step that is done."""
        self._taken += 1
        self._bar.update()

    def report(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Shows a report and begins to measure anew.

        Args:
          step: steps taken.
          values: means of metrics.

        Returns:
          "clips_per_s", "data_s" and "compute_s" per step.
        """
        spent, taken = time.monotonic() - self._since, max(self._taken, 1)
        timing = {
            "clips_per_s": self._batch * self._taken / max(spent, 1e-9),
            "data_s": self._waited / taken,
            "compute_s": (spent - self._waited) / taken,
        }
        text = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
        pace = (
            f"{timing['clips_per_s']:.1f} clips/s (data {timing['data_s']:.3f}, "
            f"compute {timing['compute_s']:.3f} s a step)"
        )
        if self._bar.disable:
            if self._active:
                LOG.info("%s %d/%d  %s  %s", self._name, step, self._steps, text, pace)
        else:
            self._bar.set_postfix_str(f"{pace}  {text}")
        self._begin()
        return timing

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()
