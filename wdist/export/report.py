"""`Result.report`: a result as one HTML file with pictures, which needs neither a server nor the network."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import wdist
from wdist.definitions.figures import percent, summary_lines
from wdist.definitions.results.numbers import rounded_down, three_digits
from wdist.errors import OptionError, WdistError
from wdist.export.pictures import curve_picture, histogram_picture, interval_picture
from wdist.export.plot import kept_witness
from wdist.files.durable import write_file
from wdist.files.outputs import other_than_html

if TYPE_CHECKING:
    from wdist.data.samples import SampleSet
    from wdist.result import Result
    from wdist.witness import UnusualRow, Witness

_COLUMNS = 50  # of a table: more are counted
_VALUES = 20  # of a row: more are counted
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bound: #2b6cb0; --source: #c05621; }
@media (prefers-color-scheme: dark) { :root { --bound: #63b3ed; --source: #ed8936; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem } .big { font-size: 1.2rem }
table { border-collapse: collapse } th, td { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
tr { border-bottom: 1px solid var(--line) }
svg { max-width: 100%; height: auto } svg text { fill: currentColor; font: 12px system-ui, sans-serif }
.scroll { overflow-x: auto } img { image-rendering: pixelated; height: 4rem; margin: .2rem }
footer, .soft { opacity: .75 }
"""


def write_report(result: Result, path: str | Path, names: tuple[str, str], rows: int = 0) -> None:
    """Write the report. See `Result.report`."""
    if (wrong := other_than_html(path)) is not None:
        raise OptionError(wrong)
    write_file(Path(path), report_text(result, names, rows).encode(errors="backslashreplace"))


def report_text(result: Result, names: tuple[str, str], rows: int = 0) -> str:
    """The report as HTML; everything that is not ours is escaped."""
    title = f"{names[0]} and {names[1]}"
    witness = kept_witness(result)
    parts = [
        f"<h1>{_text(title)}</h1>",
        *_answer(result),
        interval_picture(result),
        *(f"<p><strong>Warning:</strong> {_text(warning)}</p>" for warning in result.warnings),
    ]
    if witness is not None:
        parts.append(_columns(witness))
    if rows > 0:
        parts.append(_unusual(result, names, rows))
    if witness is not None:
        scores = histogram_picture(witness.histogram(), names)
        parts.append(_section("Scores of held-out rows", scores, _about_scores(result, witness)))
    parts += [
        _figures(result),
        _section("While it trained", curve_picture(result), "The critic's value on select rows. It is not certified."),
        _about(result, names),
        _footer(),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)} · wdist</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _answer(result: Result) -> list[str]:
    """The verdict: the answer in large letters, then the distance, its size, and what else to know."""
    said = result.verdict
    others = (said.distance, said.size, said.caveat)
    return [f'<p class="big">{_text(said.headline)}</p>', *(f"<p>{_text(each)}</p>" for each in others if each)]


def _about_scores(result: Result, witness: Witness) -> str:
    """What the histogram shows, and how the means of its scores go with the figures of the result."""
    apart = float(witness.target_scores.mean() - witness.source_scores.mean())
    said = f"The critic's scores, not clipped. Where sets differ, scores do: the means are {three_digits(apart)} apart."
    if result.groups is not None:
        said += " These are means of rows; the figures count groups equally."
        apart = apart if result.unclipped is None else result.unclipped
    if three_digits(apart) == three_digits(result.value):
        return said
    return (
        f"{said} What the critic shows, {three_digits(result.value)}, has rare scores clipped, as the bound needs it."
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _section(title: str, picture: str, about: str) -> str:
    return f'<h2>{title}</h2>\n{picture}\n<p class="soft">{_text(about)}</p>' if picture else ""


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], numbers: Sequence[int]) -> str:
    """A table of texts that are HTML already. numbers: which columns hold numbers."""

    def row(tag: str, cells: Sequence[str]) -> str:
        kinds = [' class="number"' if i in numbers else "" for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{k}>{cell}</{tag}>" for k, cell in zip(kinds, cells, strict=True)) + "</tr>"

    rows = "\n".join(row("td", line) for line in lines)
    return f'<div class="scroll"><table>\n{row("th", head) if head else ""}\n{rows}\n</table></div>'


def _figures(result: Result) -> str:
    lines = [tuple(map(_text, line)) for line in summary_lines(result.to_dict())]
    return "<h2>Figures</h2>\n" + _table((), lines, (1,))


def _columns(witness: Witness) -> str:
    """What the columns of a table contribute; empty for images and wide tables."""
    if not witness.columns:
        return ""
    lines = []
    is_shared = any(column.attribution for column in witness.columns)
    for column in witness.columns[:_COLUMNS]:
        bound = "-" if column.lower_bound is None else rounded_down(column.lower_bound)
        share = f"{column.attribution:.0%}" if is_shared else "-"
        lines.append((_text(column.name), share, three_digits(max(0.0, column.value)), bound))
    more = len(witness.columns) - _COLUMNS
    note = f'<p class="soft">and {more} more columns</p>' if more > 0 else ""
    head = ("column", "carries", "W1 of the column alone", "at least, all at once")
    return f"<h2>Columns</h2>\n{_table(head, lines, (1, 2, 3))}{note}"


def _unusual(result: Result, names: tuple[str, str], count: int) -> str:
    """The held-out rows that are least like the other set, with their values."""
    if result._rows is None:
        raise WdistError("this result was not made by estimate_w1: it has no rows to show")
    sets: tuple[SampleSet, SampleSet] = result._rows()
    unusual = result.witness.unusual(count)
    parts = []
    for name, samples, side in zip(names, sets, ("source", "target"), strict=True):
        found = unusual[side]
        values = samples.rows(samples.places(np.asarray([entry.row for entry in found], dtype=np.int64)))
        shown = _images(found, values) if samples.is_image else _rows(found, values, samples.columns)
        parts.append(f"<h3>{_text(name)}</h3>\n{shown}")
    note = f'<p class="soft">{_text(result.witness.numbering)}</p>'
    return "<h2>The most unusual held-out rows</h2>\n" + "\n".join([*parts, note])


def _rows(found: Sequence[UnusualRow], values: NDArray[np.float64], columns: Sequence[str]) -> str:
    more = [f"and {len(columns) - _VALUES} more"] if len(columns) > _VALUES else []
    head = ["row", "score", *map(_text, columns[:_VALUES]), *more]
    lines = [
        [f"{entry.row:,}", f"{entry.score:.4g}", *(f"{value:.6g}" for value in row[:_VALUES]), *("" for _ in more)]
        for entry, row in zip(found, values, strict=True)
    ]
    return _table(head, lines, range(len(head)))


def _images(found: Sequence[UnusualRow], values: NDArray[np.float64]) -> str:
    return "".join(
        f'<img alt="row {entry.row}" title="row {entry.row:,}, score {entry.score:.4g}" src="{_png(image)}">'
        for entry, image in zip(found, values, strict=True)
    )


def _png(image: NDArray[np.float64]) -> str:
    """An image (c, h, w) as a PNG in a data URL: three channels as colours, any other number as their mean, grey."""
    grey = image if len(image) == 3 else image.mean(axis=0, keepdims=True)
    low, high = min(0.0, float(grey.min())), max(1.0, float(grey.max()))
    pixels = np.round((grey - low) / (high - low) * 255).astype(np.uint8).transpose(1, 2, 0)
    height, width, channels = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def _about(result: Result, names: tuple[str, str]) -> str:
    """How the result was made: sizes, unit, seed, critic."""
    sides = (names[0], result.n["source"]), (names[1], result.n["target"])
    sizes = {name: f"{n['train']:,} train, {n['select']:,} select, {n['test']:,} test" for name, n in sides}
    trained = f"{result.steps:,} steps" if result.steps else "in closed form"
    facts: dict[str, Any] = {
        **{f"rows of {name}": text for name, text in sizes.items()},
        "confidence": percent(result.confidence),
        "distance": result.units,
        "critic": f"{result.critic.family}, {trained}, {result.seconds:.1f} s on {result.device}",
        "seed": result.seed,
        "wdist": f"{wdist.__version__}, statistics version {result.method_version}",
    }
    if "certificate" in result.__dict__:
        facts["SHA-256 of the certificate"] = result.certificate.sha256
    return "<h2>How it was made</h2>\n" + _table((), ((_text(name), _text(fact)) for name, fact in facts.items()), ())


def _footer() -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"<footer><p>Written by wdist on {made}. A report is no proof: a certificate is.</p></footer>"
