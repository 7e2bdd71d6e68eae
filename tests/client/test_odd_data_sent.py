"""Odd data, odd options and files as people bring them: a client answers each as the library does."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import odd_data
import pytest
import table_cases

from wdist.data.samples import open_samples
from wdist_client import Client, InvalidRequest, OptionError, SampleError
from wdist_client.advice import asked, in_python

OF_A_FILE = {"polars ragged lists": "lists of different lengths, such as 2 and 1; give all the same length"}
LEFT_TO_THE_SERVER = (SampleError, OptionError, InvalidRequest)


@pytest.fixture(scope="module")
def local() -> Iterator[Client]:
    with Client(":local:") as client:
        yield client


@pytest.mark.parametrize("case", odd_data.DATA)
def test_what_is_no_data_is_refused_in_the_words_of_the_library(local: Client, case: str) -> None:
    make, words = odd_data.DATA[case]
    words = OF_A_FILE.get(case, words)
    with pytest.raises(LEFT_TO_THE_SERVER, match=words):
        local.sample_sets.create(make())


@pytest.mark.parametrize("form", [*odd_data.TAKEN, *odd_data.FLOAT8])
def test_odd_forms_of_rows_are_the_rows_of_the_library(local: Client, form: str) -> None:
    make = (odd_data.TAKEN | odd_data.FLOAT8)[form]
    stored, opened = local.sample_sets.create(make()), open_samples(make())
    assert (stored.rows, stored.columns) == (opened.n, opened.names)
    statistics = np.array([[each["min"], each["max"], each["mean"]] for each in stored.statistics["columns"]])
    expected = opened.statistics
    np.testing.assert_allclose(statistics.T, [expected.minimum, expected.maximum, expected.mean], rtol=1e-12)
    assert stored.dtype_name == np.dtype(opened.dtype).name


@pytest.mark.parametrize("case", sorted(odd_data.OPTIONS.keys() - {"None as confidence"}))  # it stands for the default
def test_odd_options_are_refused_by_their_name(local: Client, case: str) -> None:
    options = odd_data.OPTIONS[case]
    one, other = (local.sample_sets.create(odd_data.table(seed=seed)) for seed in (0, 1))
    with pytest.raises((OptionError, InvalidRequest), match=next(iter(options))):
        local.estimates.create(one, other, **options)


@pytest.mark.parametrize("case", table_cases.CASES, ids=lambda case: case.name)
def test_files_become_what_they_must(local: Client, tmp_path: Path, case: table_cases.Case) -> None:
    path = case.build(tmp_path)
    if case.error is not None:
        with pytest.raises(LEFT_TO_THE_SERVER, match=re.escape(case.error)) as refused:
            local.sample_sets.create(path, **case.reading)
        for option, value in case.advice:
            assert asked(option, value) not in str(refused.value)
            assert in_python(asked(option, value)) in str(refused.value)
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        stored = local.sample_sets.create(path, **case.reading)
    assert case.columns is None or stored.columns == case.columns
    assert case.rows is None or stored.rows == len(case.rows)
    assert bool(stored.notes) == (case.note is not None)
    assert case.note is None or case.note in " ".join([*stored.notes, *(str(each.message) for each in told)])
