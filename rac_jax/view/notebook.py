"""A result as a piece of HTML, which is how notebooks show it."""

import base64
import html

from rac_jax.counting.result import CountResult
from rac_jax.view.plot import plot_result, png


def result_html(result: CountResult) -> str:
    """A result for a notebook: its sentence, its picture and small tables of sets and streams.

    Args:
      result: what was counted; frames and spectrogram come from its file if it is still there.

    Returns:
      HTML that needs no other file; names of files and streams are escaped.
    """
    picture = base64.b64encode(png(plot_result(result))).decode("ascii")
    sentence = html.escape(str(result))
    source = f"data:image/png;base64,{picture}"
    parts = [
        f"<p><b>{sentence}</b></p>",
        f'<img src="{source}" alt="{sentence}" style="max-width: 100%">',
    ]
    if result.sets:
        rows = [
            (str(k), f"{one.start_s:.1f} s", f"{one.end_s:.1f} s", f"{one.count:.1f}")
            for k, one in enumerate(result.sets, 1)
        ]
        parts.append(_table(("set", "from", "to", "repetitions"), rows))
    if result.streams:
        rows = [
            (
                one.name,
                f"{one.count:.1f}",
                "" if one.weight is None else f"{one.weight:.2f}",
            )
            for one in result.streams
        ]
        parts.append(_table(("stream", "repetitions alone", "weight"), rows))
    return f"<div>{''.join(parts)}</div>"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [_row("th", head), *(_row("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _row(tag: str, cells: tuple[str, ...]) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
