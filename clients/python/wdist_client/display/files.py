"""A result as a file: JSON that is read back, and a report in HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wdist_client.display.text import result_html
from wdist_client.errors import WdistError

if TYPE_CHECKING:
    from wdist_client.contract import CurvePoint
    from wdist_client.models import Result

FORMAT, VERSION = "wdist client result", 1
_STYLE = (
    ":root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; "
    "margin: 2rem auto; padding: 0 1rem } th, td { padding-right: .8rem; vertical-align: top } "
    "svg { display: block; max-width: 100% }"
)


def write_result(result: Result, path: str | PathLike[str], curve: Sequence[CurvePoint]) -> None:
    """Writes the file that `read_result` reads."""
    points = [point.model_dump(mode="json") for point in curve]
    document = {"format": FORMAT, "version": VERSION, "result": result.model_dump(mode="json"), "curve": points}
    document["names"] = list(result.names)
    Path(path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_result(
    path: str | PathLike[str],
) -> tuple[dict[str, Any], list[dict[str, Any]], tuple[str, str] | None]:
    """Figures, training curve, and names of the sets if the file has them. Raises WdistError for any other file."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise WdistError(f"{path} is not a result that the client saved; wdist.Result.load reads those of the library")
    if (version := document.get("version")) != VERSION:
        raise WdistError(f"{path} holds result format {version}, this client reads {VERSION}")
    names = document.get("names")
    return document["result"], document["curve"], None if names is None else (str(names[0]), str(names[1]))


def write_report(
    result: Result, path: str | PathLike[str], names: tuple[str, str], curve: Sequence[CurvePoint]
) -> None:
    """Writes the result as one HTML file."""
    title = html.escape(f"{names[0]} and {names[1]}")
    n = result.n
    sizes = f"Held out for the result: {n.source.test:,} rows of {names[0]} and {n.target.test:,} of {names[1]}."
    Path(path).write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · wdist</title><style>{_STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        f"{result_html(result, curve)}\n<p>{html.escape(sizes)} Seed {result.seed}. Units: "
        f"{html.escape(result.units or 'those of the data')}.</p>\n</body></html>\n",
        encoding="utf-8",
        errors="backslashreplace",  # a name of a file may be no text
    )
