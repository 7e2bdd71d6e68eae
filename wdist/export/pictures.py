"""The pictures of a report as SVG, drawn by hand: a report looks the same with and without matplotlib."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from wdist.definitions.results.numbers import range_of

if TYPE_CHECKING:
    from wdist.result import Result

_WIDTH, _LEFT, _RIGHT = 860, 190, 20


def compared_points(result: Result) -> list[tuple[str, float]]:
    """The value, and the figures to compare it with, each with what it is called."""
    points = [("value, held out", result.value)]
    if (mean_difference := result.trivial.get("mean_difference")) is not None:
        points.append(("mean difference", mean_difference))
    if result.empirical is not None and (exact := result.empirical.get("exact")) is not None:
        points.append(("exact OT, all rows", exact))
    if result.null_baseline is not None:
        rows = f"{int(result.null_baseline['rows']):,}"
        points.append((f"OT, {rows} rows of each set", result.null_baseline["between"]))
        points.append((f"OT, {rows} rows of one set", result.null_baseline["within"]))
    return points


def interval_picture(result: Result) -> str:
    """The certified part of a line from 0, and below it the figures to compare it with."""
    points = compared_points(result)
    furthest = 1.1 * max([result.lower_bound, result.upper_bound or 0.0, *(value for _, value in points), 1e-9])
    x = _axis(0.0, furthest, _LEFT, _WIDTH - _RIGHT)
    end = _WIDTH - _RIGHT if result.upper_bound is None else x(result.upper_bound)
    label = range_of(result.lower_bound, result.upper_bound)
    low, height = x(result.lower_bound), 44 + 24 * (len(points) + 1)
    parts = [
        f'<text x="0" y="28">{label}</text>',
        f'<rect x="{low:.1f}" y="12" width="{max(0.0, end - low):.1f}" height="22" fill="var(--bound)" opacity=".35"/>',
        f'<line x1="{low:.1f}" x2="{low:.1f}" y1="8" y2="38" stroke="var(--bound)" stroke-width="3"/>',
    ]
    for i, (name, value) in enumerate(points, start=1):
        y = 28 + 24 * i
        parts.append(f'<text x="0" y="{y}">{html.escape(name)}</text>')
        parts.append(f'<circle cx="{x(max(value, 0.0)):.1f}" cy="{y - 5}" r="5" fill="currentColor"/>')
        parts.append(f'<text x="{x(max(value, 0.0)) + 9:.1f}" y="{y}">{value:.4g}</text>')
    return _svg(
        f"{label}; the critic shows {max(0.0, result.value):.4g}", height, [*parts, *_ticks(x, furthest, height - 20)]
    )


def curve_picture(result: Result, height: int = 200) -> str:
    """The training curve, with the lower bound and the mean difference across it; empty if there is no curve."""
    points = [(point["step"], point["value"]) for point in result.curve if math.isfinite(point["value"])]
    if len(points) < 2:
        return ""
    trivial = result.trivial.get("mean_difference")
    top = 1.1 * max(1e-12, trivial or 0.0, result.lower_bound, *(value for _, value in points))
    x = _axis(0.0, max(1.0, *(step for step, _ in points)), _LEFT, _WIDTH - _RIGHT)
    y = _axis(0.0, top, height - 24, 8)
    line = " ".join(f"{x(step):.1f},{y(max(0.0, value)):.1f}" for step, value in points)
    across = [("lower bound", result.lower_bound, 'stroke="var(--bound)" stroke-width="3"')]
    if trivial is not None:
        across.append(("mean difference", trivial, 'stroke="currentColor" stroke-dasharray="2 4"'))
    parts = [f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>']
    for _, value, style in across:
        at = y(max(0.0, value))
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" {style}/>')
    for (name, _, _), at in zip(across, _apart([y(max(0.0, value)) + 4 for _, value, _ in across]), strict=True):
        parts.append(f'<text x="0" y="{at:.1f}">{name}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{height - 6}" text-anchor="end">{int(points[-1][0]):,} steps</text>')
    return _svg("The value on select rows while training", height, parts)


def histogram_picture(shares: Mapping[str, Sequence[float]], names: tuple[str, str], height: int = 200) -> str:
    """Histograms of the held-out scores of both sets, over each other. shares: as `Witness.histogram` returns them."""
    edges = shares["edges"]
    x = _axis(edges[0], edges[-1], _LEFT, _WIDTH - _RIGHT)
    y = _axis(0.0, max(*shares["source"], *shares["target"], 1e-9), height - 24, 8)
    parts = []
    for i, (side, name) in enumerate(zip(("source", "target"), names, strict=True)):
        colour = "var(--source)" if side == "source" else "var(--bound)"
        corners = [(edges[0], 0.0)]
        for left, right, share in zip(edges, edges[1:], shares[side], strict=False):
            corners += [(left, share), (right, share)]
        outline = " ".join(f"{x(at):.1f},{y(share):.1f}" for at, share in [*corners, (edges[-1], 0.0)])
        parts.append(f'<polygon points="{outline}" fill="{colour}" fill-opacity=".35" stroke="{colour}"/>')
        parts.append(f'<rect x="0" y="{10 + 22 * i}" width="12" height="12" fill="{colour}" opacity=".6"/>')
        parts.append(f'<text x="18" y="{20 + 22 * i}">{html.escape(_short(name))}</text>')
    for at in (edges[0], edges[-1]):
        anchor = "start" if at == edges[0] else "end"
        parts.append(f'<text x="{x(at):.1f}" y="{height - 6}" text-anchor="{anchor}">{at:.4g}</text>')
    return _svg("Histograms of the critic's scores of held-out rows of both sets", height, parts)


def _axis(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    """A linear map of [low, high] to [start, stop]."""
    width = (high - low) or 1.0
    return lambda value: start + (stop - start) * (value - low) / width


def _ticks(x: Callable[[float], float], furthest: float, y: float) -> list[str]:
    """An axis from 0 with a few round numbers."""
    step = 10 ** math.floor(math.log10(furthest / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if furthest / (step * factor) <= 6)
    parts = [f'<line x1="{x(0):.1f}" x2="{x(furthest):.1f}" y1="{y}" y2="{y}" stroke="var(--line)"/>']
    for i in range(int(furthest / step) + 1):
        parts.append(f'<text x="{x(i * step):.1f}" y="{y + 16}" text-anchor="middle">{i * step:.4g}</text>')
    return parts


def _apart(places: Sequence[float], least: float = 14.0) -> list[float]:
    """The heights of labels, moved so that two do not lie on each other."""
    if len(places) == 2 and abs(places[0] - places[1]) < least:
        middle, sign = sum(places) / 2, 1 if places[0] >= places[1] else -1
        return [middle + sign * least / 2, middle - sign * least / 2]
    return list(places)


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _svg(label: str, height: int, parts: Sequence[str]) -> str:
    head = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}">'
    return "\n".join([head, *parts, "</svg>"])
