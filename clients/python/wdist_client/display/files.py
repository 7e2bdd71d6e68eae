"""A result as a report in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from wdist_client.display.outputs import other_than_html, refuse_unwritable
from wdist_client.display.text import result_html
from wdist_client.display.witness import columns_html
from wdist_client.errors import OptionError

if TYPE_CHECKING:
    from wdist_client.contract import CurvePoint
    from wdist_client.models import Result
    from wdist_client.results.witness import Witness

_STYLE = (
    ":root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; "
    "margin: 2rem auto; padding: 0 1rem } th, td { padding-right: .8rem; vertical-align: top } "
    "svg { display: block; max-width: 100% }"
)


def write_report(
    result: Result,
    path: str | PathLike[str],
    names: tuple[str, str],
    curve: Sequence[CurvePoint],
    witness: Witness | None = None,
) -> None:
    """Writes the result as one HTML file. Of the witness it shows what says nothing of a single row."""
    if (wrong := other_than_html(path)) is not None:
        raise OptionError(wrong)
    refuse_unwritable(path)
    title = html.escape(f"{names[0]} and {names[1]}")
    n = result.n
    sizes = f"Held out for the result: {n.source.test:,} rows of {names[0]} and {n.target.test:,} of {names[1]}."
    columns = "" if witness is None or not witness.columns else f"<h2>Columns</h2>{columns_html(witness)}\n"
    Path(path).write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · wdist</title><style>{_STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        f"{result_html(result, curve)}\n{columns}<p>{html.escape(sizes)} Seed {result.seed}. Units: "
        f"{html.escape(result.units or 'those of the data')}.</p>\n</body></html>\n",
        encoding="utf-8",
        errors="backslashreplace",  # a name of a file may be no text
    )
