"""Results of earlier versions of the statistics on a server: what a person and a program see of withdrawn figures."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_process import ServerProcess

from wdist_client import AsyncClient, Client, Estimate, WithdrawnError, WithdrawnWarning
from wdist_client.command import main
from wdist_client.display.text import JobBar

pytestmark = pytest.mark.timeout(120)
QUICK: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}


@dataclass(frozen=True)
class Old:
    """Ids of estimates that look as 0.1 left them, and the sets of a matrix."""

    plain: str
    grouped: str
    batch: str


@pytest.fixture(scope="module")
def old(server: ServerProcess) -> Old:
    with Client(server.url) as client:
        rows = [np.random.default_rng(70 + k).normal(size=(400, 2)) + 2 * k for k in range(3)]
        sets = [client.sample_sets.create(each, name=f"set {k}") for k, each in enumerate(rows)]
        labels = [client.sample_sets.create(np.repeat(np.arange(200), 2)[:, None] + 1000 * k) for k in range(3)]
        plain = client.estimates.create(*sets[:2], **QUICK)
        grouped = client.estimates.create(*sets[:2], groups=labels[:2], **QUICK)
        for job in (plain, grouped):
            job.wait(timeout=60)
        groups = {each.id: own.id for each, own in zip(sets, labels, strict=True)}
        batch = client.batches.matrix(sets, groups=groups, simultaneous=True, **QUICK)
        cells = [record.id for record in batch.results(wait=True, timeout=60)]
    server.age_results(plain.id, grouped.id, *cells[:2])
    return Old(plain.id, grouped.id, batch.id)


@pytest.fixture
def client(server: ServerProcess) -> Any:
    with Client(server.url) as connected:
        yield connected


def test_a_withdrawn_bound_is_told_and_not_used(client: Client, old: Old) -> None:
    result = client.estimates.get(old.grouped).wait()
    assert result.method_version == 1
    assert result.withdrawn is not None
    assert result.withdrawn.figures == ["lower_bound", "p_value"]
    assert (result.is_withdrawn("lower_bound"), result.is_withdrawn("value")) == (True, False)
    assert result.lower_bound > 0
    for use in (lambda: float(result), lambda: f"{result:.3f}"):
        with pytest.raises(WithdrawnError, match=r"lower bound is withdrawn\..*Version 1.*run again"):
            use()


def test_a_withdrawn_result_is_printed_with_its_mark(client: Client, old: Old) -> None:
    result = client.estimates.get(old.grouped).wait()
    headline, why, *lines = str(result).splitlines()
    assert (headline, why) == (result.verdict.headline, result.verdict.distance)
    assert headline == "No answer: run this estimate again."
    assert why.startswith("Version 1")
    marked = {line.split()[0]: "withdrawn: run again" in line for line in lines if line}
    assert (marked["lower_bound"], marked["p_value"], marked["value"]) == (True, True, False)
    page = result._repr_html_()
    assert "<b>No answer: run this estimate again.</b>" in page
    assert f"<s>{result.lower_bound:.5g}</s>" in page
    assert "#2b6cb0" not in page  # the interval is grey
    assert "withdrawn: run again" in result.plot().axes[0].get_title(loc="left")


def test_a_plain_result_of_the_same_server_stands(client: Client, old: Old) -> None:
    result = client.estimates.get(old.plain).wait()
    assert (result.method_version, result.withdrawn) == (1, None)
    assert float(result) == result.lower_bound > 0
    assert "withdrawn" not in (str(result) + result._repr_html_()).lower()


def test_new_results_stand_here_and_on_a_server(server: ServerProcess) -> None:
    for address in (server.url, ":local:"):
        with Client(address) as client:
            x, y = (np.random.default_rng(k).normal(size=(300, 2)) + k for k in (0, 1))
            job = client.estimates.create(*map(client.sample_sets.create, (x, y)), **QUICK)
            result = job.wait(timeout=60)
            assert (result.method_version, result.withdrawn) == (2, None)
            assert job.progress is not None
            assert job.progress.step == job.progress.steps == 1
            assert client.estimates.get(job.id).estimate.progress == job.progress


def test_withdrawn_cells_of_a_matrix_are_not_numbers(client: Client, old: Old) -> None:
    matrix = client.batches.get(old.batch).wait(timeout=60)
    assert matrix.withdrawn is not None
    for figures in (matrix.lower_bound, matrix.simultaneous_lower_bound, matrix.p_value):
        np.testing.assert_array_equal(np.isnan(figures[np.triu_indices(3, 1)]), [True, True, False])
    assert np.isnan(matrix.adjusted_p_value[np.triu_indices(3, 1)]).all()
    assert np.isfinite(np.asarray(matrix)).all()
    text = str(matrix)
    assert text.startswith("WITHDRAWN. Version 1")
    # Two pairs, mirrored, of both kinds of bounds; all three adjusted p-values, mirrored.
    assert text.count("withdrawn") - text.count("withdrawn:") == 4 + 4 + 6
    assert "<p><b>WITHDRAWN. Version 1" in matrix._repr_html_()
    assert matrix._repr_html_().count("<td>withdrawn</td>") == 4 + 4 + 6


def test_a_certificate_of_an_earlier_version_warns(server: ServerProcess, client: Client, old: Old) -> None:
    with pytest.warns(WithdrawnWarning, match=r"wdist verify refuses.*Withdrawn are lower_bound, p_value"):
        content = client.estimates.get(old.grouped).certificate()

    async def fetch() -> bytes:
        async with AsyncClient(server.url) as connected:
            return await (await connected.estimates.get(old.plain)).certificate()

    with pytest.warns(WithdrawnWarning, match="wdist verify refuses") as told:
        assert asyncio.run(fetch()) != content
    assert "Withdrawn are" not in str(told[0].message)


class Ran:
    """One command at the server: what it printed, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], server: ServerProcess, *arguments: str) -> None:
        self.status = main(("--url", server.url, *arguments))
        self.out, self.err = capsys.readouterr()


def test_commands_show_what_is_withdrawn(
    capsys: pytest.CaptureFixture[str], server: ServerProcess, old: Old, tmp_path: Path
) -> None:
    listed = {line.split()[0]: line for line in Ran(capsys, server, "list", "--limit", "100").out.splitlines()}
    assert "(lower_bound, p_value withdrawn: run again)" in listed[old.grouped]
    assert "withdrawn" not in listed[old.plain]
    shown = json.loads(Ran(capsys, server, "show", old.grouped).out)
    assert shown["result"]["withdrawn"]["figures"] == ["lower_bound", "p_value"]
    assert "No answer: run this estimate again." in Ran(capsys, server, "result", old.grouped).out
    assert "No answer: run this estimate again." in Ran(capsys, server, "watch", old.grouped).out
    lines = [json.loads(line) for line in Ran(capsys, server, "results", old.batch).out.splitlines()]
    assert [line["result"]["withdrawn"] is not None for line in lines] == [True, True, False]
    file = Ran(capsys, server, "certificate", old.grouped, str(tmp_path / "old.cert"))
    assert (file.status, len(file.out.split())) == (0, 1)
    assert file.err.startswith("This certificate has format 1, which wdist verify refuses")


def test_a_tolerance_is_not_compared_with_a_withdrawn_bound(
    capsys: pytest.CaptureFixture[str], server: ServerProcess, old: Old
) -> None:
    for tolerance in ("0.1", "100"):
        refused = Ran(capsys, server, "result", old.grouped, "--fail-above", tolerance)
        assert refused.status == 2
        assert "the lower bound is withdrawn" in refused.err
        assert "No answer: run this estimate again." in refused.out
    assert Ran(capsys, server, "result", old.plain, "--fail-above", "100").status == 0
    assert Ran(capsys, server, "result", old.plain, "--fail-above", "0.1").status == 1


@pytest.mark.parametrize("progress", [None, {"step": 92, "steps": 100, "seconds": 1.0, "value": 0.5}])
def test_the_bar_of_a_finished_job_is_full(progress: dict[str, Any] | None, capfd: pytest.CaptureFixture[str]) -> None:
    record = {"id": "est_1", "status": "succeeded", "source": "ss_1", "target": "ss_2", "progress": progress}
    bar = JobBar(Estimate.model_validate(record), True)
    bar.show(Estimate.model_validate(record))
    bar.close()
    assert "100%" in capfd.readouterr().err
