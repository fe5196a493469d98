"""How a model looks at a part of a file, and how it listens to one."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from rac_jax.counting.counter import Counter
from rac_jax.counting.result import CountResult
from rac_jax.counting.skim.preview import Preview
from rac_jax.counting.source import FileSource
from rac_jax.media import MediaError

# (start_s, end_s) -> what is counted there.
Count = Callable[[float, float], CountResult]


def counting_parts(
    counter: Counter, path: str | os.PathLike, seen: Preview, **options: Any
) -> Callable[..., CountResult]:
    """A function that counts parts of a file, which is not probed again for each.

    Args:
      counter: of any family.
      path: the file.
      seen: its preview.
      **options: of the counter's family.

    Returns:
      (start_s, end_s, **options that differ) -> the count; may be called from two threads at
      once.
    """

    def count(start_s: float, end_s: float | None, **more: Any) -> CountResult:
        chosen = counter.options(**options | more)
        needs = counter.family.needs(counter.config, chosen)
        part = FileSource(path, needs, start_s=start_s, end_s=end_s, info=seen.info)
        return counter.count(part, **options | more)

    return count


def senses(
    counter: Counter,
    seen: Preview,
    count: Callable[..., CountResult],
    options: Mapping[str, Any],
) -> tuple[Count, Count | None]:
    """How a model with these options looks, and how it hears.

    Where it does either without the other, what is heard is not heard again with every look: a
    look is by sight alone, and without a picture there, by sound.

    Args:
      counter: of any family.
      seen: the video's preview.
      count: of `counting_parts`.
      options: of the counter's family.

    Returns:
      (how it counts a part where it looks, how it counts one by sound; None where it cannot).
    """
    if not (seen.heard and _does_without(counter, options, "sight")):
        return count, None
    hear = functools.partial(count, sight=False)
    if not _does_without(counter, options, "sound"):
        return count, hear

    def see(start_s: float, end_s: float) -> CountResult:
        try:
            return count(start_s, end_s, sound=False)
        except MediaError:
            return count(start_s, end_s)

    return see, hear


def _does_without(counter: Counter, options: Mapping[str, Any], stream: str) -> bool:
    """Whether a model with these options counts without its stream "sight" or "sound", too."""
    try:
        chosen = counter.options(**options | {stream: False})
    except ValueError:
        return False
    needs = counter.family.needs(counter.config, chosen)
    return {"sight": needs.frames, "sound": needs.sound}[stream] is None
