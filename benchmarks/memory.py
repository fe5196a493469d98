"""How much memory a process has, as Linux tells it."""

import pathlib


def resident_mb(field: str, process: int | str = "self") -> float | None:
    """ "VmRSS" (now) or "VmHWM" (peak) of a process; None where the system does not tell.

    The peak is of the program that runs: `getrusage` of a child counts what its parent had when
    it was started.
    """
    try:
        lines = pathlib.Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:  # no such system, or the process has ended
        return None
    for line in lines.splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return None  # it is just ending
