"""How much processor time a process and all that it started have used, as Linux tells it."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def own_processes() -> dict[int, float]:
    """Seconds of this process and of each descendant, and of those that they waited for, by id.

    Raises:
      OSError: where there is no `/proc`.
    """
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text()
        except OSError:  # it has just ended
            continue
        # The name in brackets may hold anything.
        fields = text[text.rindex(")") + 2 :].split()
        parents[int(folder.name)] = int(fields[1])
        spent[int(folder.name)] = sum(map(int, fields[11:15])) / TICKS
    own, found = os.getpid(), {}
    for process, seconds in spent.items():
        ancestor = process
        while ancestor not in (0, own):
            ancestor = parents.get(ancestor, 0)
        if ancestor == own:
            found[process] = seconds
    return found


def cpu_seconds() -> float:
    """Seconds of this process, of the descendants it has, and of those that it waited for.

    On a machine that others use, too, this is what work costs, where the clock tells how busy
    they are.

    Raises:
      OSError: where there is no `/proc`.
    """
    return sum(own_processes().values())
