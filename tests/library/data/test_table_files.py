"""Each file of `table_cases` becomes what it must, and the advice of each refusal works when it is followed."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_cases import CASES
from table_files import Case, followed, meant

from wdist import SampleError
from wdist.data.sources.advice import in_flags, in_python
from wdist.data.sources.files import FileRows, open_file
from wdist.data.tables.naming import asked
from wdist.definitions.reading import Selection

REFUSED = [case for case in CASES if case.error is not None]
ADVISED = [case for case in REFUSED if case.advice]


def opened(case: Case, folder: Path) -> FileRows:
    return open_file(case.build(folder), "source", Selection(**case.reading))


def test_the_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [case for case in CASES if case.error is None], ids=lambda case: case.name)
def test_a_file_becomes_its_rows(case: Case, tmp_path: Path) -> None:
    rows = opened(case, tmp_path)
    assert case.rows is not None
    assert meant(rows.array, rows.table) == [list(row) for row in case.rows]
    assert rows.columns == case.columns
    assert bool(rows.notes) == (case.note is not None)
    assert (case.note or "") in " ".join(rows.notes)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_refusal_names_the_file_and_what_to_do(case: Case, tmp_path: Path) -> None:
    with pytest.raises(SampleError) as refused:
        opened(case, tmp_path)
    message = str(refused.value)
    assert message.startswith(str(tmp_path))
    assert (case.error or "") in message
    assert "?" not in message  # options are in the words of the library
    for option, value in case.advice:
        assert in_python(asked(option, value)) in message
        assert in_flags(asked(option, value)) in in_flags(message)


@pytest.mark.parametrize("case", ADVISED, ids=lambda case: case.name)
def test_advice_works_when_it_is_followed(case: Case, tmp_path: Path) -> None:
    path = case.build(tmp_path)
    for advice in [case.advice] if case.together else [[each] for each in case.advice]:
        reading = followed(case, advice)
        assert len(open_file(path, "source", Selection.checked(**reading)).array)
