"""Library, client, asynchronous client and `:local:` give one result: the same members, with the same answers."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from server_process import ServerProcess

import wdist
import wdist_client
from wdist_client import AsyncClient, Client

pytestmark = pytest.mark.timeout(120)
OPTIONS: dict[str, Any] = {"critic": "groupsort", "steps": 20, "baseline_rows": 50, "statements": 2, "seed": 3}
NAMES = ("January", "February")
WHERE = ("library", "client", "async client", "local")


def frame(seed: int, shift: float) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(300, 2)) + shift, columns=["price", "size"])


@pytest.fixture(scope="module")
def data() -> dict[str, pd.DataFrame]:
    return dict(zip(NAMES, (frame(1, 0.0), frame(2, 1.0)), strict=True))


@pytest.fixture(scope="module")
def results(data: dict[str, pd.DataFrame], server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same estimate, made everywhere; that of the asynchronous client comes from the file of its job."""

    async def awaited() -> wdist_client.Result:
        async with AsyncClient(server.url) as client:
            sets = [await client.sample_sets.create(rows, name=name) for name, rows in data.items()]
            job = await client.estimates.create(*sets, **OPTIONS)
            result = await job.wait(timeout=60)
            with pytest.raises(wdist_client.WdistError, match=r"await job\.witness\(\)"):
                _ = result.witness
            await job.save(folder / "async.wdist")
            kept = wdist_client.Result.load(folder / "async.wdist")
            assert kept.witness == await job.witness()
            assert kept.certificate == await job.certificate()
            assert [vars(point) for point in kept.curve] == [vars(point) for point in await job.curve()]
            return kept

    folder = tmp_path_factory.mktemp("dialect")
    found: dict[str, Any] = {"library": wdist.estimate_w1(*data.values(), names=NAMES, **OPTIONS)}
    with Client(server.url) as client, Client(":local:") as local:
        for where, connected in (("client", client), ("local", local)):
            sets = [connected.sample_sets.create(rows, name=name) for name, rows in data.items()]
            found[where] = connected.estimates.create(*sets, **OPTIONS).wait(timeout=60)
            _ = found[where].certificate, found[where].witness, found[where].curve
        found["async client"] = asyncio.run(awaited())
        yield found


def plain(value: Any) -> Any:
    """Figures rounded to what does not depend on the number of threads; without what no two runs share."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in ("seconds", "device")}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def point(each: Any) -> Any:
    return {key: float(f"{value:.6g}") for key, value in dict(each).items() if key != "seconds"}


def kept(result: Any, folder: Path) -> list[Any]:
    """What both packages read from the file of a result."""
    result.save(folder / "r")
    return [plain(kind.load(folder / "r").to_dict()) for kind in (wdist.Result, wdist_client.Result)]


def reported(result: Any, folder: Path) -> list[bool]:
    result.report(folder / "r.html", names=("one", "other"))
    page = (folder / "r.html").read_text()
    said = result.verdict
    return [*(html.escape(part) in page for part in (said.headline, said.distance)), "one" in page, "price" in page]


def drawn(result: Any, folder: Path) -> list[Any]:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    return [result.plot(ax=axes) is axes.figure, result.plot(ax=axes, names=("one", "other")) is axes.figure]


MEMBERS: dict[str, Callable[[Any, Path], Any]] = {
    "verdict": lambda result, _: [*result.verdict.model_dump().items(), result.verdict.text],
    "meaning": lambda result, _: result.meaning,
    "witness": lambda result, _: plain(result.witness.to_dict()),
    "unusual rows": lambda result, _: [each.row for each in result.witness.unusual(3)["target"]],
    "columns": lambda result, _: [(each.name, plain(each.value)) for each in result.witness.columns],
    "histogram": lambda result, _: plain(result.witness.histogram()),
    "text of the witness": lambda result, _: str(result.witness),
    "certificate": lambda result, _: digest(result.certificate.content) == result.certificate.sha256,
    "certificate.save": lambda result, folder: result.certificate.save(folder / "c") == result.certificate.sha256,
    "to_dict": lambda result, _: plain(result.to_dict()),
    "keys": lambda result, _: list(result.to_dict()),
    "json": lambda result, _: sorted(json.loads(json.dumps(result.to_dict()))),
    "names": lambda result, _: result.names,
    "curve": lambda result, _: [point(each) for each in result.curve],
    "float": lambda result, _: plain(float(result)),
    "format": lambda result, _: f"{result:.4f}",
    "repr": lambda result, _: repr(result).partition("):")[2],
    "text": lambda result, _: [line for line in str(result).splitlines() if not line.startswith("  critic ")],
    "save and load": kept,
    "report": reported,
    "plot": drawn,
    "critic": lambda result, _: (result.critic.family, plain(result.critic.config)),
}  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_of_a_result_is_the_same_everywhere(member: str, results: dict[str, Any], tmp_path: Path) -> None:
    said = {where: MEMBERS[member](results[where], tmp_path) for where in WHERE}
    assert said == dict.fromkeys(WHERE, said["library"])
    assert said["library"]


def test_a_result_of_the_library_is_read_by_the_client_and_back(results: dict[str, Any], tmp_path: Path) -> None:
    library = results["library"]
    _ = library.witness, library.certificate
    library.save(tmp_path / "r")
    read = wdist_client.Result.load(tmp_path / "r")
    assert (str(read), read.names) == (str(library), NAMES)
    assert read.to_dict() == json.loads(json.dumps(library.to_dict()))
    assert read.witness.to_dict() == json.loads(json.dumps(library.witness.to_dict()))
    assert read.certificate == library.certificate.content
    read.save(tmp_path / "again")
    back = wdist.Result.load(tmp_path / "again")
    assert back == library
    rows = frame(4, 0.0)
    np.testing.assert_array_equal(back.critic.evaluate(rows), library.critic.evaluate(rows))
    assert back.certificate.content == library.certificate.content
    np.testing.assert_array_equal(back.witness.source_scores, library.witness.source_scores)
    with pytest.raises(wdist_client.WdistError, match=r"wdist\.Result\.load|lost its job"):
        read.critic.evaluate(rows)


def test_the_library_scores_rows_with_a_result_that_the_client_saved(results: dict[str, Any], tmp_path: Path) -> None:
    results["client"].save(tmp_path / "r")
    loaded = wdist.Result.load(tmp_path / "r")
    np.testing.assert_allclose(
        loaded.critic.evaluate(frame(4, 0.0)), results["library"].critic.evaluate(frame(4, 0.0)), rtol=1e-4
    )
    with pytest.raises(wdist.WdistError, match="witness"):
        _ = loaded.witness
    loose = wdist_client.Result.model_validate(results["client"].to_dict())
    loose.save(tmp_path / "figures")
    with pytest.raises(wdist.WdistError, match=r"without their critic.*wdist_client\.Result\.load"):
        wdist.Result.load(tmp_path / "figures")
    (tmp_path / "old").write_text('{"format": "wdist client result"}')
    with pytest.raises(wdist.WdistError, match=r"without their critic.*wdist_client\.Result\.load"):
        wdist.Result.load(tmp_path / "old")


def test_matrices_and_comparisons_have_the_same_members(data: dict[str, pd.DataFrame]) -> None:
    sets = {**data, "March": frame(5, 2.0)}
    quick: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}
    made = wdist.matrix_w1(sets, **quick)
    compared = wdist.compare_w1(frame(6, 0.0), sets, **quick)
    with Client(":local:") as client:
        asked = client.matrix(sets, simultaneous=True, **quick).wait(timeout=60)
        given = {"reference": frame(6, 0.0), **sets}
        answered = client.compare(given["reference"], sets, **quick).comparison(timeout=60)
    np.testing.assert_allclose(np.asarray(made), np.asarray(asked), rtol=1e-6)
    pd.testing.assert_frame_equal(made.to_frame(), asked.to_frame(), rtol=1e-6)
    assert list(made.to_frame().source) == ["January", "January", "February"]
    one, other = made.to_dict(), asked.to_dict()
    assert set(one) <= set(other)
    assert set(other) - set(one) == {"answer", "withdrawn"}
    shared = [key for key in one if key in other]
    assert plain([one[key] for key in shared]) == plain([other[key] for key in shared])
    assert set(compared.to_dict()) == set(answered.to_dict())
    assert compared.warnings == answered.warnings
    assert [each["name"] for each in compared.to_dict()["ranking"]] == [each.name for each in answered.ranking]


@pytest.mark.parametrize("kind", ["rows", "blocks", "one pair", "no upper end"])
def test_a_matrix_is_printed_as_the_library_prints_it(kind: str) -> None:
    sets = {"a": frame(1, 0.0), "b": frame(5, 0.0), "c": frame(3, 0.3), "d": frame(4, 2.0)}
    if kind == "one pair":
        sets = {"a": sets["a"], "b": sets["b"]}
    more: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}
    more |= {"blocks": {"split": "blocks"}, "no upper end": {"upper": "none"}}.get(kind, {})
    made = wdist.matrix_w1(sets, **more)
    with Client(":local:") as client:
        asked = client.matrix(sets, simultaneous=True, **more).wait(timeout=60)
    assert str(asked) == str(made)
    if kind == "rows":
        assert "no evidence, <= " in str(asked)
        assert " of 6 pairs differ, all judged together with 95 % confidence" in str(asked)
        assert asked.answer in asked._repr_html_()
