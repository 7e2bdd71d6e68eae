"""The calibration study finds what is broken, goes on after a kill, and knows the distances of its cells."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.calibration import report, rows, upper
from benchmarks.calibration.cell import REFUSED, Cell
from benchmarks.calibration.results import Results, Tally
from benchmarks.calibration.study import CELLS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks" / "calibration.md"
LIMITS = report.limits_of(CELLS)
SORTED_FILE = "control: scores in the order of a sorted file"
QUICK = "two points, even, equal"


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.calibration", "--processes", "1", *options]


def study(results: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--results", str(results), *options), cwd=ROOT, capture_output=True, text=True, check=False
    )


def tally_of(cell: Cell, runs: int) -> Tally:
    tally = Tally()
    tally.add({"first": 0, "runs": runs, "wrong": cell.count(0, runs), "seconds": 0.0})
    return tally


@pytest.mark.slow
def test_a_few_runs_of_every_statement_cell(tmp_path: Path) -> None:
    done = study(tmp_path / "results.jsonl", "--layers", "statement", "--runs", "2")
    assert done.returncode == 0, done.stderr
    made = Results(tmp_path / "results.jsonl").tallies
    assert {name: tally.runs for name, tally in made.items()} == {
        name: 2 for name, cell in CELLS.items() if cell.layer == "statement"
    }


def test_a_few_whole_estimates(tmp_path: Path) -> None:
    words = "scale 3", "diameter", "opposite effects"
    done = study(tmp_path / "results.jsonl", "--layers", "whole", "--cells", *words, "--runs", "1")
    assert done.returncode == 0, done.stderr
    assert len(Results(tmp_path / "results.jsonl").tallies) == 5


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.layer == "control"])
def test_mistakes_made_on_purpose_are_found(name: str) -> None:
    control, tallies = CELLS[name], {name: tally_of(CELLS[name], 100)}
    assert report.failures({name: control}, tallies, LIMITS) == []
    taken_for_correct = {name: replace(control, layer="statement")}
    assert report.failures(taken_for_correct, tallies, LIMITS)


def test_the_command_fails_if_a_mistake_is_not_found(tmp_path: Path) -> None:
    done = study(tmp_path / "results.jsonl", "--cells", SORTED_FILE, "--runs", "1")  # one run proves nothing
    assert done.returncode == 1
    assert f"BROKEN  {SORTED_FILE}: the mistake was not found in 1 runs" in done.stderr


def test_the_command_fails_and_names_a_broken_cell(tmp_path: Path) -> None:
    """The scores of a sorted file, in the results of a cell that says they were shuffled."""
    path = tmp_path / "results.jsonl"
    found = CELLS[SORTED_FILE].count(0, 100)
    wrong = {each: found.get(each, 0) for each in CELLS[QUICK].allowed}
    with Results(path, is_written=True) as results:
        results.append(QUICK, 0, 100, wrong, 1.0)
    done = study(path, "--cells", QUICK, "--runs", "100", "--report")
    assert done.returncode == 1
    assert f"BROKEN  {QUICK}: paired_betting: {found['paired_betting']} of 100" in done.stderr


@pytest.mark.slow
def test_a_killed_study_goes_on(tmp_path: Path) -> None:
    path, cells = tmp_path / "results.jsonl", ("--cells", QUICK, "two points, 0.3", "--layers", "statement")
    first = subprocess.Popen(
        command("--results", str(path), *cells, "--runs", "5000"), cwd=ROOT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not (path.exists() and path.read_text().count("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with path.open("a") as file:
        file.write('{"cell": "two po')  # a kill may come while a line is written
    made = Results(path).of(QUICK).runs
    assert made > 0
    wanted = made + 30
    done = study(path, *cells, "--runs", str(wanted), "--processes", "2")
    assert done.returncode == 0, done.stderr
    for name in (QUICK, "two points, 0.3 against 0.5"):
        tally = Results(path).of(name)
        assert tally.runs == wanted
        assert tally.wrong == CELLS[name].count(0, wanted)  # whatever the chunks and processes


def test_two_studies_do_not_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path, is_written=True):
        done = study(path, "--cells", QUICK, "--runs", "1")
    assert done.returncode == 2
    assert "another study is writing" in done.stderr


def test_runs_of_other_code_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Results(path, is_written=True) as results:
        results.append(QUICK, 0, 10, CELLS[QUICK].count(0, 10), 1.0)
    assert Results(path).of(QUICK).runs == 10
    path.write_text(path.read_text().replace(Results(path).code, "01234567"))
    assert Results(path).of(QUICK).runs == 0
    assert Results(path, any_code=True).of(QUICK).runs == 10


def test_missing_runs_are_all_that_were_not_made() -> None:
    tally = Tally(numbers={0, 1, 5, 9})
    assert list(tally.missing(12, 2)) == [(2, 2), (4, 1), (6, 2), (8, 1), (10, 2)]
    assert list(tally.missing(2, 2)) == []


def test_limits_are_exceeded_by_chance_once_in_a_thousand_studies() -> None:
    """Statements that are wrong exactly as often as they may be, 250 limits a study: 2,000 studies."""
    generator, most = np.random.default_rng(0), report.limit(10_000, 0.05, 250)
    failed = (generator.binomial(10_000, 0.05, (2_000, 250)) > most).any(axis=1).sum()
    assert failed <= 9  # the 99.99 % point of Poisson(2)
    assert report.limit(10_000, 0.05, 250) < 1.25 * 500


@pytest.mark.parametrize(("dtype", "offset", "scale"), rows.OFFSETS)
def test_distances_of_stored_values_are_those_of_their_means(dtype: Any, offset: float, scale: float | None) -> None:
    x, y = rows.at_offset(np.random.default_rng(0), dtype, offset, 400_000)
    difference = y.astype(np.float64) - x.astype(np.float64)
    error = float(difference.std()) / np.sqrt(len(difference))
    assert abs(float(difference.mean()) - rows.stored_w1(dtype, offset, rows.OFFSET_SHIFT)) < 4 * error


@pytest.mark.parametrize("kind", rows.KINDS, ids=lambda kind: kind.about)
def test_distances_of_kinds_are_those_of_their_means(kind: rows.Kind) -> None:
    """The median of 400 mean differences, since some tails have no variance."""
    generator = np.random.default_rng(0)
    means = [[draw(generator, 4_000).mean() for draw in (kind.source, kind.target)] for _ in range(400)]
    differences = np.subtract(*np.transpose(means)[::-1])
    spread = float(np.subtract(*np.quantile(differences, [0.75, 0.25])))
    assert abs(np.median(differences) - kind.w1) < 0.3 * spread


@pytest.mark.parametrize("kind", upper.ON_THE_LINE, ids=lambda kind: kind.about)
def test_transport_has_no_choice_on_the_line(kind: rows.Kind) -> None:
    """The cost of the plan is W1 on average: nothing but chance keeps the upper end above it."""
    generator, ends = np.random.default_rng(0), []
    for number in range(200):
        ends.append(upper.upper_end(rows.opened(*rows.drawn(kind, generator), number)))
    costs = np.array([end.cost for end in ends])
    bias = costs.mean() - kind.w1
    if kind.about.startswith("normal"):  # rows may move either way
        assert bias > -4 * costs.std() / np.sqrt(len(costs))
    else:
        assert abs(bias) < 4 * costs.std() / np.sqrt(len(costs))
    assert np.sqrt(np.mean([sum(np.divide(end.variance, end.units)) for end in ends])) < 1.2 * costs.std()


@pytest.mark.parametrize("hard", [each for each in upper.hard() if each.largest], ids=lambda hard: hard.about)
def test_the_approximate_end_fails_as_often_as_the_binomial_distribution_says(hard: upper.Hard) -> None:
    assert hard.largest is not None
    seen = np.arange(hard.n + 1)
    share = seen / hard.n
    error = np.sqrt(share * (1 - share) / (hard.n - 1))
    chances, runs = stats.binom.pmf(seen, hard.n, hard.mean / hard.largest), 2_000
    tally = tally_of(CELLS[f"upper fails: {hard.about}"], runs)
    for level in upper.LEVELS:
        ends = hard.largest * (share + stats.norm.ppf(1 - level) * error)
        wrong = float(chances[ends < hard.mean].sum())
        assert wrong > level
        assert abs(tally.wrong[upper.at_level(level)] - runs * wrong) < 4 * np.sqrt(runs * wrong * (1 - wrong))


def test_shares_stand_where_there_is_no_limit() -> None:
    cell = CELLS["upper fails: Pareto 1.5, 100 rows"]
    tally = Tally(numbers=set(range(400)), wrong={upper.at_level(0.05): 120, upper.at_level(0.1): 142})
    table = report.tables(report.figures_of({"topic": [cell]}, {cell.name: tally}, LIMITS))["topic"]
    assert table.splitlines()[0] == "| data | runs | approximate at 5 % | approximate at 10 % |"
    assert table.splitlines()[-1] == "| Pareto 1.5, 100 rows | 400 | 30.0 % | 35.5 % |"


def test_a_study_asks_for_fewer_runs_of_dear_cells() -> None:
    dear = replace(CELLS[QUICK], most=7)
    assert [dear.wanted({"statement": runs}) for runs in (5, 10_000)] == [5, 7]
    assert report.unfinished({QUICK: dear}, {QUICK: tally_of(dear, 7)}, {"statement": 10_000}) == []
    assert report.unfinished({QUICK: dear}, {QUICK: tally_of(dear, 6)}, {"statement": 10_000}) != []


def test_refused_samples_are_counted_and_many_of_them_fail() -> None:
    chance = replace(CELLS[QUICK], run=lambda generator, number: rows.judged(rows.case_of(_constant(number)), 0.0))
    tally = tally_of(chance, 4)
    assert tally.wrong[REFUSED] == 4
    assert "were refused" in report.failures({QUICK: chance}, {QUICK: tally}, LIMITS)[0]


def _constant(number: int) -> Any:
    return rows.opened(np.zeros(120), np.zeros(120), number)


def test_the_page_shows_the_figures() -> None:
    figures = json.loads((PAGE.parent / "calibration.json").read_text())
    text = PAGE.read_text()
    for topic, table in report.tables(figures).items():
        assert f"## {topic}\n" in text
        assert table in text, f"put into docs/benchmarks/calibration.md, below {topic}:\n{table}"
