"""What a local client refuses of a request: what the library refuses, and what only a server does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError, ValidationInfo, create_model, field_validator

from wdist_client import contract
from wdist_client.transports.local.records import RefusalError


def check_estimate(body: Mapping[str, Any]) -> None:
    """Raises RefusalError, which names every field at fault."""
    _check(body, is_batch=False)


def check_batch(body: Mapping[str, Any]) -> None:
    """Raises RefusalError, which names every field at fault."""
    _check(body, is_batch=True)
    for name in ("matrix", "targets"):
        if len(set(body.get(name, ()))) != len(body.get(name, ())):
            raise RefusalError.of([("", f"{name} names a set twice")])
    if body.get("compare"):
        _check_comparison(body)
    names = [pair["custom_id"] for pair in body.get("pairs", ()) if pair.get("custom_id") is not None]
    if len(set(names)) != len(names):
        raise RefusalError.of([("", "pairs uses a custom_id twice")])


def _check_comparison(body: Mapping[str, Any]) -> None:
    from wdist.errors import OptionError
    from wdist.inference.comparison import statements_needed

    if body.get("targets") is None:
        raise RefusalError.of([("", "compare needs reference and targets")])
    if body["reference"] in body["targets"]:
        raise RefusalError.of([("", "the reference is among the targets: leave it out there")])
    try:
        statements_needed(len(body["targets"]), body)
    except OptionError as error:
        raise RefusalError.of([("", str(error))]) from error


def check_status(status: str) -> None:
    """Raises RefusalError where it is no state of an estimate."""
    from wdist.definitions.refusals import refusals

    try:
        TypeAdapter(contract.Status).validate_python(status)
    except ValidationError as error:
        found = [{**each, "loc": ("status",)} for each in error.errors()]
        raise RefusalError.of(refusals(found, {"status": status})) from error


def _check(body: Mapping[str, Any], *, is_batch: bool) -> None:
    from wdist.definitions.refusals import refusals

    model = _model(is_batch=is_batch)
    try:
        model(**body)
    except ValidationError as error:
        raise RefusalError.of(refusals(error.errors(), body, list(model.model_fields))) from error


@cache
def _model(*, is_batch: bool) -> Any:
    """The library's options and the fields that a server adds."""
    from wdist.options import Options, refuse_groups

    def can_be_split(groups: Any, others: ValidationInfo) -> Any:
        options = (others.data.get(name) for name in ("split", "diameter", "ranges"))
        if groups is not None and (reason := refuse_groups(*options)):
            raise ValueError(reason)
        return groups

    fields = contract.COMMON_FIELDS | (contract.BATCH_FIELDS if is_batch else contract.ESTIMATE_FIELDS)
    return create_model(
        "Request", __base__=Options, __validators__={"can_be_split": field_validator("groups")(can_be_split)}, **fields
    )


def check_monitor(body: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The library's options of a monitor, and its labels. Raises RefusalError, which names every field at fault."""
    from wdist.definitions.refusals import refusals
    from wdist.monitoring.options import MonitorOptions

    given = {name: value for name, value in body.items() if name not in ("reference", "metadata")}
    try:
        return MonitorOptions(**given), dict(body.get("metadata") or {})
    except ValidationError as error:
        raise RefusalError.of(refusals(error.errors(), given, list(MonitorOptions.model_fields))) from error
