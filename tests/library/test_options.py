"""Every option is checked by its definition, and a refusal names the option and what it must be."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field, ValidationError, create_model

from wdist import estimate_w1, matrix_w1
from wdist.definitions.refusals import refusals
from wdist.errors import OptionError
from wdist.options import Options

ROOT = Path(__file__).resolve().parents[2]
PROPERTIES = Options.model_json_schema()["properties"]


def branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]


def outside(schema: dict[str, Any]) -> list[Any]:
    """Values just outside what a schema allows, and values of other types."""
    values: list[Any] = [object(), {}, b"x"]
    for branch in branches(schema):
        values += [branch[key] - 1 for key in ("minimum", "exclusiveMinimum") if key in branch]
        values += [branch[key] * 2 + 1 for key in ("maximum", "exclusiveMaximum") if key in branch]
        if branch.get("type") in {"number", "integer"}:
            values += [True, float("nan"), float("inf"), "1"]
        if branch.get("type") == "integer":
            values.append(1.5)
        if "enum" in branch:
            values += ["", "nothing like it", branch["enum"][0].upper()]
        if branch.get("type") == "boolean":
            values += ["yes", 1, 0]
    return values


@pytest.mark.parametrize("name", PROPERTIES)
def test_values_outside_are_refused_by_name(name: str) -> None:
    for value in outside(PROPERTIES[name]):
        with pytest.raises(OptionError, match=rf"^{name}(\.\d+)? is "):
            Options.checked(**{name: value})


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_bound_itself_is_accepted(name: str) -> None:
    for branch in branches(PROPERTIES[name]):
        for value in [branch[key] for key in ("minimum", "maximum") if key in branch] + branch.get("enum", []):
            assert getattr(Options.checked(**{name: value}), name) == value


@pytest.mark.parametrize("number", [np.int64(3), np.int32(3), np.array(3)])
def test_numbers_of_numpy_are_numbers(number: Any) -> None:
    assert Options.checked(seed=number).seed == 3
    assert Options.checked(diameter=number, scale=np.float32(0.5)).scale == 0.5
    assert Options.checked(empirical=np.bool_(number > 0)).empirical is True


@pytest.mark.parametrize("given", [[1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3]), np.array([[1.0], [2.0], [3.0]])])
def test_a_scale_for_each_column_may_be_any_array(given: Any) -> None:
    assert Options.checked(scale=given).scale == [1.0, 2.0, 3.0]


def test_the_place_in_a_list_is_named() -> None:
    with pytest.raises(OptionError, match=r"^scale\.1 is -2; it must be above 0$"):
        Options.checked(scale=[1, -2])


@pytest.mark.parametrize(("given", "near"), [("confidnce", "confidence"), ("step", "steps"), ("methods", "method")])
def test_an_unknown_option_is_answered_with_the_nearest(given: str, near: str) -> None:
    with pytest.raises(OptionError, match=f"there is no '{given}' here; did you mean '{near}'"):
        estimate_w1([[0.0]], [[0.0]], **{given: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("statements", [0, None, "q", True])
def test_a_matrix_checks_its_options_before_it_reads_a_file(statements: Any) -> None:
    with pytest.raises(OptionError, match=r"^statements is .*; it must be "):
        matrix_w1(["no such.csv", "nor this.csv"], statements=statements)


def test_the_function_shows_every_option_and_describes_it() -> None:
    shown = inspect.signature(estimate_w1).parameters
    for name, field in Options.model_fields.items():
        assert shown[name].default == field.default
        assert f"        {name}: " in str(estimate_w1.__doc__)


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "generate.py"), "--check"]
    subprocess.run(command, check=True, cwd=tmp_path)


def test_options_need_no_torch() -> None:
    code = "import sys, wdist.options; assert not {'torch', 'fastapi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (Annotated[str, Field(pattern="^[0-9a-f]{64}$")], "x", "v is 'x'; it must be 64 hexadecimal digits"),
        (
            Annotated[str, Field(pattern="^ss_[0-9a-z]+$")],
            "x",
            "v is 'x'; it must be a cursor, `next` of the page before",
        ),
        (Annotated[list[int], Field(min_length=1)], [], "v is []; it must be at least 1 entry long"),
        (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "v is [1, 2, 3]; it must be at most 2 entries long"),
        (Annotated[str, Field(min_length=1)], "\ud800", r"v is '\ud800'; it must be text without lone surrogates"),
    ],
)
def test_a_refusal_is_in_plain_words(kind: Any, given: Any, words: str) -> None:
    model = create_model("Request", v=(kind, ...))
    with pytest.raises(ValidationError) as caught:
        model(v=given)
    assert refusals(caught.value.errors(), {"v": given}) == [("v", words)]


def test_a_whole_that_is_null_and_a_stranger_below_it() -> None:
    inner = create_model("Inner", __config__={"extra": "forbid"})
    outer = create_model("Outer", pairs=(list[inner], ...))
    with pytest.raises(ValidationError) as caught:
        outer.model_validate(None)
    assert refusals(caught.value.errors(), None) == [("", "this is null; it must be an object")]
    with pytest.raises(ValidationError) as caught:
        outer(pairs=[{"foo": 1}])
    said = refusals(caught.value.errors(), {"pairs": [{"foo": 1}]}, ["pairs"])
    assert said == [("pairs.0.foo", "there is no 'pairs.0.foo' here")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_output_that_cannot_be_written_is_no_fault_of_wdist() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ran = subprocess.run(
            [sys.executable, "-m", "wdist.cli.main", "completion", "bash"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ran.returncode, ran.stderr) == (73, "wdist: cannot write the output: No space left on device\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"confidence": 95}, "confidence is 95; it must be below 1: give 0.95"),
        ({"confidence": 99.5}, "confidence is 99.5; it must be below 1: give 0.995"),
        ({"confidence": 2}, "confidence is 2; it must be below 1"),
        ({"scale": "standardise"}, "or a number or a list; did you mean 'standardize'?"),
        ({"critic": "GroupSort"}, "; did you mean 'groupsort'?"),
        ({"split": "blokcs"}, "it must be 'random' or 'blocks'; did you mean 'blocks'?"),
        ({"scale": "wide"}, "or a number or a list"),
    ],
)
def test_what_was_meant_is_named_where_it_is_plain(given: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as refused:
        Options.checked(**given)
    assert str(refused.value).endswith(words)
