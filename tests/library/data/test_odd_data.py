"""Whatever is no data, or no option, is refused by name with the next action; odd forms of data give its rows."""

import re
from typing import Any

import numpy as np
import odd_data
import pandas
import pytest
import torch

from wdist import estimate_w1
from wdist.data.samples import open_samples
from wdist.errors import OptionError, SampleError
from wdist.options import Options


@pytest.mark.parametrize("case", odd_data.DATA)
def test_what_is_no_data_is_refused(case: str) -> None:
    make, words = odd_data.DATA[case]
    with pytest.raises((SampleError, OptionError), match=words) as refused:
        open_samples(make(), "January")
    assert "January" in str(refused.value) or isinstance(make(), str)
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("case", ["None", "generator", "dict", "torch sparse", "frame of text", "no file"])
def test_an_estimate_refuses_either_side(case: str) -> None:
    make, words = odd_data.DATA[case]
    good = odd_data.table()
    with pytest.raises(SampleError, match=words):
        estimate_w1(make(), good)
    with pytest.raises(SampleError, match=words):
        estimate_w1(good, make(), names=("January", "February"))


@pytest.mark.parametrize("advice", odd_data.ADVICE)
def test_advice_can_be_followed_without_loss(advice: str) -> None:
    make, expected = odd_data.ADVICE[advice]
    with pytest.raises(SampleError, match=re.escape(advice)):
        open_samples(make())
    given = make()
    names = {"x": given, "data": given, "frame": given, "numpy": np, "pandas": pandas, "torch": torch}
    rows = open_samples(eval(advice, names))
    np.testing.assert_array_equal(rows.rows(slice(None)), expected().reshape(odd_data.ROWS, -1))


@pytest.mark.parametrize("form", odd_data.TAKEN)
def test_odd_forms_give_the_same_rows(form: str) -> None:
    opened = open_samples(odd_data.TAKEN[form]())
    np.testing.assert_array_equal(opened.rows(slice(None)), odd_data.table())
    np.testing.assert_array_equal(opened.rows(np.array([5, 3, 119, 3])), odd_data.table()[[5, 3, 119, 3]])
    np.testing.assert_array_equal(opened.statistics.maximum, odd_data.table().max(axis=0))
    assert opened.table is None
    assert not opened.notes


@pytest.mark.parametrize("form", odd_data.FLOAT8)
def test_numbers_of_8_bits_keep_their_values(form: str) -> None:
    rounded = torch.from_numpy(odd_data.table()).to(torch.float8_e4m3fn).to(torch.float64).numpy()
    np.testing.assert_array_equal(open_samples(odd_data.FLOAT8[form]()).rows(slice(None)), rounded)


@pytest.mark.parametrize("case", odd_data.OPTIONS)
def test_what_is_no_option_is_refused(case: str) -> None:
    given: dict[str, Any] = odd_data.OPTIONS[case]
    (name,) = given
    with pytest.raises((OptionError, TypeError) if name == "scael" else OptionError, match=name) as refused:
        Options.checked(**given) if name != "device" else estimate_w1(odd_data.table(), odd_data.table(seed=1), **given)
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("names", ["ab", ("a",), ("a", 1), {"a": "b"}, 3])
def test_names_are_a_pair_of_texts(names: Any) -> None:
    with pytest.raises(OptionError, match="names takes a pair"):
        estimate_w1(odd_data.table(), odd_data.table(seed=1), names=names)
