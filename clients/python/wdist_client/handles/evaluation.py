"""Scores of rows by the critic of an estimate: rows are read as the estimate's sets were."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wdist_client import requests
from wdist_client.advice import in_python
from wdist_client.display.text import EvaluationBar
from wdist_client.errors import InvalidRequest, LeftOutWarning, NotFound, OptionError, SampleError, WdistError
from wdist_client.flows import Compute, Flow, Retries, Sleep, fetched, send
from wdist_client.models import Estimate, Evaluation, SampleSet
from wdist_client.requests import Request
from wdist_client.rows.arrays import as_array, check_values
from wdist_client.rows.columns import check_names, names_of, option_of
from wdist_client.rows.frames import frame_of
from wdist_client.rows.payload import payload
from wdist_client.rows.reading import checked, of_more, read_alike
from wdist_client.uploads import create_sample_set, is_id

if TYPE_CHECKING:
    import numpy as np

    Scores = np.ndarray[Any, np.dtype[np.float64]]
else:
    Scores = Any  # numpy is imported where it is needed

EVALUATION_SECONDS = 0.5  # between polls of a running evaluation
MAX_EVALUATED_ROWS = 10_000
_CHOICES = {"columns", "drop"}  # where a user gives one of them, the critic's columns are not taken instead


def evaluate(
    estimate: Estimate, rows: Any, reading: Mapping[str, Any], retries: Retries, progress: bool | None = False
) -> Flow[Scores]:
    """f of the rows in order. The server reads a stored set, a file and a frame of more than plain numbers.

    An array is sent in parts of up to 10,000 rows. A frame may have more columns than the critic takes. reading: how a
    file or a frame is read, where that is not how the sets of the estimate were. Warns (LeftOutWarning) of rows that
    reading left out, as they have no score.

    Raises SampleError for rows of other columns than the critic's, for no rows, and for a value that is not finite.
    """
    import numpy as np

    wanted, sets = checked(reading), (estimate.source, estimate.target)
    path = Path(rows) if isinstance(rows, str | os.PathLike) else None
    if is_id(rows) or isinstance(rows, SampleSet):
        rows = yield from create_sample_set(rows, None, reading, progress, retries)  # type: ignore[arg-type]
        return (yield from _of_stored(estimate, rows, retries, progress))
    if path is not None and path.suffix.lower() == ".npy" and not wanted:  # it has no names, so nothing is to be read
        rows = yield Compute(partial(_array_of, path))
        path = None
    if path is not None:
        part = read_alike((yield from reading_of(sets, retries)), wanted, path)
        try:
            return (yield from _of_read(estimate, rows, path.name, part, retries, progress))
        except (SampleError, InvalidRequest) as error:
            if (more := (yield from not_needed(error, estimate, path.name, part, retries))) is None:
                raise
            raise more from error
    frame, names = frame_of(rows), names_of(rows)
    if names is not None:
        part = read_alike((yield from reading_of(sets, retries)), wanted, rows)
        columns = yield from _columns_of(estimate, retries)
        places = [k for k, each in enumerate(names) if each in columns]
        if frame is not None and len(places) == len(columns) < len(names) and not part.keys() & _CHOICES:
            frame, names = frame.chosen(places), [names[k] for k in places]
            part["columns"] = names
        if frame is not None and (part.keys() - {"columns"} or frame.numbers(missing=True) is None):
            return (yield from _of_read(estimate, rows, None, part, retries, progress))
        check_names(columns or None, names, "the critic", "the rows", by_position=True)
    elif wanted:
        raise OptionError(f"{next(iter(wanted))} is of files and frames: an array has no names, so leave it out")
    array = as_array(rows) if frame is None else frame.numbers(missing=True)
    if array is None:
        raise SampleError("the rows have text, dates or other columns than numbers, and no names of columns: name them")
    if not array.size:
        raise SampleError(f"an array of shape {array.shape} holds no values; give it rows and columns")
    parts = []
    for start in range(0, len(array), MAX_EVALUATED_ROWS):
        part_of_rows = array[start : start + MAX_EVALUATED_ROWS]
        check_values(part_of_rows, start, names)
        request = requests.evaluate(f"/v1/estimates/{estimate.id}/evaluate", payload(part_of_rows))
        answer = yield from send(request, retries)
        parts.append(np.load(io.BytesIO(answer.body), allow_pickle=False))
    return np.concatenate(parts)


def _columns_of(estimate: Estimate, retries: Retries) -> Flow[list[str]]:
    """Names of the columns that the critic takes, in its order; none where it was trained on arrays."""
    request = Request("GET", f"/v1/estimates/{estimate.id}/critic", {"part": "config"})
    answer = yield from send(request, retries)
    return json.loads(answer.body).get("columns") or []


def not_needed(
    error: Exception, estimate: Estimate, label: str, part: Mapping[str, Any], retries: Retries
) -> Flow[SampleError | None]:
    """What to say where a file was refused for a column that the critic does not take; None if it was not."""
    named = re.search(r"column '([^']+)'", str(error))
    columns = [] if named is None or part.keys() & _CHOICES else (yield from _columns_of(estimate, retries))
    if named is None or not columns or named[1] in columns:
        return None
    return SampleError(f"{label}: the critic takes no column {named[1]!r}. Read the file with {option_of(columns)}")


def reading_of(sets: Iterable[str | None], retries: Retries) -> Flow[Mapping[str, Any]]:
    """How stored sets were read that were read alike: the first of them that was not deleted. None: unknown."""
    for each in sets:
        if each is None:
            break
        try:
            stored = yield from fetched(f"/v1/sample-sets/{each}", SampleSet, retries)
        except NotFound:
            continue
        return of_more(stored)
    return {}


def _array_of(path: Path) -> Any:
    """The rows of an .npy file, read when they are sent."""
    import numpy as np

    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise SampleError(f"{path} is not an .npy file of numbers") from error
    except OSError as error:
        raise SampleError(f"cannot read {path}: {error.strerror or error}") from error


def _of_read(
    estimate: Estimate, data: Any, name: str | None, part: Any, retries: Retries, progress: bool | None
) -> Flow[Scores]:
    """The scores of a file or a frame, which the server reads and keeps as a set."""
    stored = yield from create_sample_set(data, name, part, progress, retries)
    for note in stored.notes:
        if part.get("missing") == "drop" and "were left out" in note:
            said = f"{stored.name or 'the data'}: {in_python(note)}; there is one score for each row that was kept"
            warnings.warn(said, LeftOutWarning, stacklevel=2)
    return (yield from _of_stored(estimate, stored, retries, progress))


def _of_stored(estimate: Estimate, rows: SampleSet, retries: Retries, progress: bool | None) -> Flow[Scores]:
    """The scores of a stored set, at once or, for a large set, from the job that the server starts.

    KeyboardInterrupt leaves the job running and says so.
    """
    import numpy as np

    content = yield from _content_of(f"/v1/estimates/{estimate.id}/evaluate", rows, retries, progress)
    scores: Scores = np.load(io.BytesIO(content), allow_pickle=False)
    return scores


def _content_of(path: str, rows: SampleSet, retries: Retries, progress: bool | None) -> Flow[bytes]:
    """The scores of a stored set as .npy."""
    answer = yield from send(requests.evaluate_stored(path, rows), retries)
    if (note := answer.headers.get("wdist-note")) is not None:
        warnings.warn(note, UserWarning, stacklevel=2)
    if answer.status == 200:
        return answer.body
    place = requests.place_of(answer.headers["location"])
    job = answer.read(Evaluation)
    bar = EvaluationBar(job, progress)
    try:
        while not job.ended:
            yield Sleep(EVALUATION_SECONDS)
            job = (yield from send(Request("GET", place), retries)).read(Evaluation)
            bar.show(job)
    except KeyboardInterrupt:
        bar.leave(job)
        raise
    finally:
        bar.close()
    if job.status != "succeeded":
        reason = job.error.message if job.error else f"{job.id} is {job.status}"
        raise WdistError(f"the rows could not be scored: {reason}")
    return (yield from send(Request("GET", f"{place}/content"), retries)).body
