"""`rac live`: counts a camera, a stream or a file while it plays."""

import argparse
import contextlib
import json
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rac_jax.cli.arguments import positive_number, whole_number
from rac_jax.cli.items import Terminated, attempt, describe, terminable
from rac_jax.cli.options import add_model_arguments, counting_options
from rac_jax.cli.output import check_target, complain, json_text, say, write_text

if TYPE_CHECKING:
    from rac_jax.counting.live_session import LiveSession, Snapshot

LOOPBACK = "127.0.0.1"
PORT = 8377
LINE_WIDTH = 79  # of the terminal's line


def _delay(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds of at least 0"
        )
    return value


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Adds the arguments of `rac live`; those of the model depend on the command line."""
    parser.add_argument(
        "source",
        nargs="?",
        metavar="FILE|URL",
        help="a file, which is played at its own pace, or an address (rtsp://, http:// ...); "
        "without either the first camera",
    )
    parser.add_argument(
        "--camera",
        type=lambda text: whole_number(text, least=0),
        metavar="N",
        help="a camera by its number, from 0",
    )
    parser.add_argument(
        "--delay",
        type=_delay,
        default=0.5,
        metavar="S",
        help="for how many seconds a repetition that was counted may be taken back: 0 is final "
        "at once, more is surer (default: %(default)s)",
    )
    parser.add_argument(
        "--late",
        type=positive_number,
        default=1.0,
        metavar="S",
        help="drop frames that could not be counted within so many seconds "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--terminal",
        action="store_true",
        help="count in the terminal instead of on a page in the browser; "
        "p, r or q and Enter pause, reset and end",
    )
    parser.add_argument(
        "--jsonl",
        metavar="FILE|-",
        help="write what is counted as lines of JSON, for programs; implies --terminal",
    )
    parser.add_argument(
        "--beep", action="store_true", help="a sound for every repetition"
    )
    parser.add_argument(
        "--save", metavar="FILE", help="write the result as JSON at the end"
    )
    parser.add_argument(
        "--port",
        type=lambda text: whole_number(text, least=0),
        default=PORT,
        metavar="N",
        help="of the page, 0 for any that is free (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="who may see the page: only this machine (%(default)s), or whoever reaches this "
        "address of it",
    )
    add_model_arguments(parser, argv)


def run(args: argparse.Namespace) -> int:
    """Counts until the source ends or somebody ends it.

    Returns:
      0; 1 if the source failed or was read in part; 2 if nothing could be started; 143 if it
      was asked to end by SIGTERM.
    """
    if args.source is not None and args.camera is not None:
        complain(f"--camera {args.camera}: excludes {args.source}")
        return 2
    source = args.source if args.source is not None else f"camera {args.camera or 0}"
    page = not (args.terminal or args.jsonl)
    if page:
        # Said before a model is loaded if the extra is missing.
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    try:
        options = counting_options(args)
        for target in filter(None, (args.jsonl, args.save)):
            check_target(target)
    except (ValueError, OSError) as error:
        complain(describe("live", error).removeprefix("live: "))
        return 2

    from rac_jax import counting
    from rac_jax.counting.live import live_counter
    from rac_jax.counting.live_session import LiveSession
    from rac_jax.models import loading

    try:
        counting.enable_compilation_cache()
        counter = live_counter(loading.load(args.model))
    except counting.ModelError as error:
        complain(error)
        return 2
    session, reason = attempt(
        source,
        lambda: LiveSession(
            counter,
            source,
            delay_s=args.delay,
            late_s=args.late,
            picture=page,
            **options,
        ),
    )
    if session is None:
        complain(reason)
        return 2
    return _count(args, session, page)


def _count(args: argparse.Namespace, session: "LiveSession", page: bool) -> int:
    """Runs a session with whoever watches it, and says its result."""
    stopped = []

    def count():
        # Ctrl-C is how a camera is ended; what was counted is its result.
        try:
            with terminable():
                return session.run(watch)
        except KeyboardInterrupt as stop:
            stopped.append(stop)
            session.end()
            return session.run(watch)

    with contextlib.ExitStack() as stack:
        try:
            if page:
                watch = stack.enter_context(_page(args, session))
            else:
                watch = stack.enter_context(_lines(args, session))
        except OSError as error:
            session.source.close()
            complain(describe(f"--port {args.port}", error))
            return 2
        result, reason = attempt(session.source.name, count)
    if result is None:
        complain(reason)
        return 1
    out = sys.stderr if args.jsonl == "-" else sys.stdout
    say(result, out)
    if args.verbose:
        say(result.explain(), out)
    for fault in result.faults:
        complain(fault)
    code = int(bool(result.faults))
    if args.save is not None:
        text = json_text(result.to_dict())
        _, reason = attempt(args.save, lambda: write_text(args.save, text))
        if reason is not None:
            complain(reason)
            code = 1
    if any(isinstance(stop, Terminated) for stop in stopped):
        return Terminated.code
    return code


@contextlib.contextmanager
def _page(
    args: argparse.Namespace, session: "LiveSession"
) -> Iterator[Callable[["Snapshot"], None]]:
    """Serves the page meanwhile."""
    from rac_jax.view.live_page import LivePage

    with LivePage(session, args.host, args.port, beep=args.beep) as page:
        say(
            f"{session.source.name}: counted on {page.address} (Ctrl-C ends)",
            sys.stderr,
        )
        yield page.watch


@contextlib.contextmanager
def _lines(
    args: argparse.Namespace, session: "LiveSession"
) -> Iterator[Callable[["Snapshot"], None]]:
    """Writes lines meanwhile, and takes commands from standard input."""
    threading.Thread(target=_obey, args=(session, sys.stdin), daemon=True).start()
    if args.jsonl is None:
        terminal = _Terminal(sys.stdout, beep=args.beep)
        yield terminal.watch
        terminal.close()
        return
    with contextlib.ExitStack() as stack:
        file = sys.stdout
        if args.jsonl != "-":
            file = stack.enter_context(open(args.jsonl, "w", encoding="utf-8"))
        writer = _JsonLines(file, session, beep=args.beep)
        yield writer.watch
        writer.close()


def _obey(session: "LiveSession", lines: TextIO) -> None:
    """Carries out the commands that come as lines: pause, reset and end, or their keys."""
    commands = {
        "p": session.pause,
        "pause": session.pause,
        "r": session.reset,
        "reset": session.reset,
        "q": session.end,
        "end": session.end,
    }
    for line in lines:
        command = commands.get(line.strip().lower())
        if command is not None:
            command()


class _Terminal:
    """One line that is written again and again; where nobody watches, a line for each count."""

    def __init__(self, file: TextIO, *, beep: bool):
        self._file, self._beep = file, beep
        self._again = file.isatty()
        self._last: tuple[int, bool] | None = None

    def watch(self, moment: "Snapshot") -> None:
        said = moment.said
        key = (said.count, moment.paused)
        if not self._again and key == self._last:
            return
        rang = self._last is not None and said.count > self._last[0]
        self._last = key
        text = f"{said.count:4d}"
        if said.durations_s:
            text += f"   last one {said.durations_s[-1]:.2f} s"
        if len(said.sets) + bool(said.open_set) > 1:
            text += f"   set {len(said.sets) + bool(said.open_set)}"
        text += (
            f"   {said.until_s:.1f} s, {moment.source_fps:.0f} fps, "
            f"{100 * moment.drop_rate:.0f} % dropped"
        )
        text += "   paused" if moment.paused else ""
        if self._beep and rang:
            text = "\a" + text
        if self._again:
            self._file.write("\r" + text[:LINE_WIDTH].ljust(LINE_WIDTH))
            self._file.flush()
        else:
            say(text, self._file)

    def close(self) -> None:
        if self._again:
            self._file.write("\n")


class _JsonLines:
    """A line of JSON for what is new: "start", "count" whenever it or `settled` changes, "end"."""

    def __init__(self, file: TextIO, session: "LiveSession", *, beep: bool):
        self._file, self._session, self._beep = file, session, beep
        self._last: tuple[int, int, bool] = (0, 0, False)
        source = session.source
        self._write(
            {
                "event": "start",
                "source": source.name,
                "fps": source.fps,
                "size": [source.height, source.width],
            }
        )

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()

    def watch(self, moment: "Snapshot") -> None:
        key = (moment.said.count, moment.said.settled, moment.paused)
        if key == self._last:
            return
        if self._beep and key[0] > self._last[0]:
            say("\a", sys.stderr)
        self._last = key
        self._write({"event": "count"} | moment.to_dict())

    def close(self) -> None:
        if self._session.result is not None:
            self._write({"event": "end", "result": self._session.result.to_dict()})
