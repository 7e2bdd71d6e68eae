"""Each file of `table_cases`, sent to a server and to the library in this process, becomes what it must."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import httpx
import numpy as np
import pytest
from table_cases import CASES
from table_files import Case, meant

from wdist.data.sources.advice import in_python
from wdist.data.tables.naming import asked
from wdist_client import Client, LeftOutWarning, WdistError

READ = [case for case in CASES if case.error is None]
REFUSED = [case for case in CASES if case.error is not None]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_file_that_is_sent_becomes_its_rows(client: Client, case: Case, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:  # what was not sent, of which the server knows nothing
        warnings.simplefilter("always", LeftOutWarning)
        stored = client.sample_sets.create(case.build(tmp_path), **case.reading)
    assert case.rows is not None
    if client.base_url != ":local:":
        content = httpx.get(f"{client.base_url}/v1/sample-sets/{stored.id}/content").raise_for_status().content
        assert meant(np.load(io.BytesIO(content)), stored.table) == [list(row) for row in case.rows]
    assert stored.rows == len(case.rows)
    assert stored.columns == case.columns
    assert (case.note or "") in " ".join([*stored.notes, *(str(each.message) for each in told)])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_file_that_is_refused_says_what_to_do(client: Client, case: Case, tmp_path: Path) -> None:
    with pytest.raises(WdistError) as refused:
        client.sample_sets.create(case.build(tmp_path), **case.reading)
    message = str(refused.value)
    assert (case.error or "") in message
    for option, value in case.advice:
        assert in_python(asked(option, value)) in message
