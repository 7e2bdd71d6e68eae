"""Writes the client's contract module from the server's OpenAPI: records, options and the lines of the summary.

datamodel-code-generator was tried (0.89). It closes TypedDicts, so that the client could not add `idempotency_key` to
them, leaves out their descriptions, writes records and options in two runs that have to be merged, and needs the same
preparation of the schemas as the 60 lines that write the module here.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from wdist import options as library
from wdist.definitions.figures import shown_figures
from wdist.definitions.reading import Reading

Schema = dict[str, Any]

RECORDS = (
    "SampleSetView", "EstimateView", "EvaluationJobView", "BatchView", "MatrixView", "BatchComparisonView", "CurveView",
    "MonitorView", "MonitorUpdateView", "NewWebhookView", "WebhookView", "DeliveryView", "DeliveryDetailView",
    "WitnessFigures",
)  # fmt: skip
"""What the client reads. The schemas that these refer to are written too."""

REQUIRED = {
    "SampleSet": "id sha256 bytes rows shape dtype",
    "Estimate": "id status source target",
    "EvaluationJob": "id status sample_set rows done",
    "Batch": "id status kind counts",
    "Counts": "total",
    "Matrix": "rows columns value lower_bound p_value",
    "BatchComparison": "batch complete",
    "ComparisonFigures": "reference confidence kind ranking differences sentence",
    "Standing": "name position best worst value lower_bound upper_bound",
    "Difference": "first second shown lower_bound upper_bound answer sentence",
    "Growth": "least",
    "Curve": "data",
    "CurvePoint": "step seconds value",
    "Result": "value lower_bound confidence lipschitz_bound critic seed n",
    "Critic": "family",
    "Rows": "source target",
    "Parts": "train select test",
    "Groups": "source target",
    "Simultaneous": "statements lower_bound",
    "NullBaseline": "rows between within",
    "Withdrawn": "figures reason action",
    "MatrixWithdrawn": "cells reason action",
    "MatrixWarning": "row column warning",
    "Alarm": "kind since",
    "Change": "value lower_bound",
    "Monitor": "id name status confidence tolerance epoch updates",
    "MonitoredColumn": "name value lower_bound",
    "MonitorUpdate": "id status",
    "UnusualRow": "row score",
    "WitnessFigures": "units unusual histogram columns",
    "WitnessRows": "source target",
    "WitnessRow": "row score",
    "WitnessColumn": "name attribution value",
    "ScoreHistogram": "edges source target",
    "ColumnHistogram": "source target",
    **dict.fromkeys(("Webhook", "NewWebhook"), "id url events status"),
    **dict.fromkeys(("Delivery", "DeliveryDetail"), "id webhook event status attempts"),
    "UpdateFigures": "number epoch value lower_bound series_lower_bound evidence evidence_limit",
}
"""Fields that every server sends. All others have a default, so that older servers are read: do not add any here."""

STATES = ("queued", "running", "canceling", "succeeded", "failed", "canceled")
ABSENT = {"step": 0, "attempt": 0, "complete": True, "message": "", "meaning": "", **dict.fromkeys(STATES, 0)}
"""What a field is where an older server does not send it, if that is not None or empty."""

LIMITS = {
    "exclusiveMinimum": "gt", "minimum": "ge", "exclusiveMaximum": "lt", "maximum": "le", "pattern": "pattern",
    **{f"min{what}": "min_length" for what in ("Length", "Items", "Properties")},
    **{f"max{what}": "max_length" for what in ("Length", "Items", "Properties")},
}  # fmt: skip
"""Keywords of JSON schemas, and pydantic's names for them."""

_TIMES = ("_at", "_since", "_until")
"""How names of fields end that are times."""

OWN_ARGUMENTS = {"source", "target", "groups", "pairs", "matrix", "reference", "targets", "compare"}
"""What the client's methods take as arguments of their own, or in another form than the server."""

OF_MONITORS = {"reference", "name", "thresholds", "metadata"}
"""The same, of monitors."""

_HEAD = '''"""What a server takes and answers; made from its OpenAPI by `make generate`. models.py builds on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, Field

from wdist_client.base import Model
'''


def module(contract: Schema) -> str:
    """The text of the module."""
    schemas: Schema = contract["components"]["schemas"]
    records: dict[str, str] = {}
    for name in RECORDS:
        _add_record(records, schemas, name)
    estimate, batch = (schemas[name]["properties"] for name in ("EstimateRequest", "BatchRequest"))
    common = {name: prop for name, prop in estimate.items() if name not in OWN_ARGUMENTS}
    more = {name: prop for name, prop in batch.items() if name not in OWN_ARGUMENTS | common.keys()}
    options = _options("Options(TypedDict, total=False)", "How to estimate. What is left out gets its default.", common)
    batches = _options("BatchOptions(Options, total=False)", "How to estimate each pair of a batch.", more)
    monitor = {n: prop for n, prop in schemas["MonitorRequest"]["properties"].items() if n not in OF_MONITORS}
    monitors = _options("MonitorOptions(TypedDict, total=False)", "How a monitor compares each batch.", monitor)
    reading = _options("Reading(TypedDict, total=False)", "How a file is read.", _reading(), array="Collection")
    states = annotation(schemas["EstimateView"]["properties"]["status"], array="Any")
    requests = ["", _request_part(schemas, "PairRequest"), f"Status = {states}", *_requests(estimate, batch)]
    return "\n".join([_HEAD, *records.values(), options, batches, monitors, reading, *requests, *_shown()])


def annotation(schema: Schema, *, array: str, mapping: str = "dict", is_open: bool = False) -> str:
    """The Python type of a JSON schema.

    array, mapping: the types of arrays and objects; array "Any" takes those of any library. is_open: whether
    enumerations are strings, so that values of newer servers are read.
    """

    def inner(part: Schema) -> str:
        return annotation(part, array=array, mapping=mapping, is_open=is_open)

    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        parts = list(dict.fromkeys(inner(branch) for branch in schema["anyOf"]))
        return "Any" if "Any" in parts else " | ".join(parts)
    if "enum" in schema and not is_open:
        return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]"
    kind = schema.get("type", "any")
    if kind == "array" and array != "Any":
        return f"{array}[{inner(schema['items'])}]"
    if kind == "object":
        values = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), True)
        return f"{mapping}[str, {'Any' if values is True else inner(values)}]"
    simple = {"number": "float", "integer": "int", "boolean": "bool", "string": "str", "null": "None"}
    return simple.get(kind, "Any")


def limited(schema: Schema) -> str:
    """The Python type of a JSON schema with its limits, for pydantic."""
    if "anyOf" in schema:
        return " | ".join(limited(branch) for branch in schema["anyOf"])
    kind = annotation(schema, array="list")
    if kind.startswith("list"):
        kind = f"list[{limited(schema['items'])}]"
    if kind.startswith("dict"):
        pattern, values = next(iter(schema.get("patternProperties", {}).items()), (None, None))
        keys = {"type": "string", **schema.get("propertyNames", {})} | ({"pattern": pattern} if pattern else {})
        kind = f"dict[{limited(keys)}, {limited(values or schema['additionalProperties'])}]"
    found = {name: schema[keyword] for keyword, name in LIMITS.items() if keyword in schema}
    found |= {name: float(found[name]) for name in ("gt", "ge", "lt", "le") if name in found}  # as OpenAPI has them
    limits = [f"{name}={value!r}" for name, value in found.items()]
    return f"Annotated[{kind}, Field({', '.join(limits)})]" if limits else kind


def _request_part(schemas: Schema, name: str) -> str:
    """A model of an object within a request."""
    required = schemas[name]["required"]
    fields = (
        f"    {field}: {limited(prop)}" + ("" if field in required else f" = {prop.get('default')!r}")
        for field, prop in schemas[name]["properties"].items()
    )
    head = f'class {name}(BaseModel, extra="forbid", strict=True):'
    return "\n".join([head, f'    """{schemas[name]["description"]}"""', "", *fields, "", ""])


def _requests(estimate: Schema, batch: Schema) -> Iterator[str]:
    """The fields of requests that the library's options lack, or that a server limits more."""
    of_library = {name: limited(prop) for name, prop in library.Options.model_json_schema()["properties"].items()}
    written = {name: _request_field(prop) for name, prop in (estimate | batch).items()}
    own = [name for name, prop in (estimate | batch).items() if limited(prop) != of_library.get(name)]
    yield "\n# Fields of requests, with their defaults, that the library's options lack or that a server limits more."
    for title, names in (
        ("COMMON", estimate.keys() & batch.keys()),
        ("ESTIMATE", estimate.keys() - batch.keys()),
        ("BATCH", batch.keys() - estimate.keys()),
    ):
        lines = (f"    {name!r}: ({written[name]})," for name in own if name in names)
        yield "\n".join([f"{title}_FIELDS: dict[str, Any] = {{", *lines, "}"])


def _request_field(schema: Schema) -> str:
    """The type of a field and its default, which OpenAPI leaves out where it is null; an id has none."""
    kind = limited(schema)
    default: Any = None if kind.endswith("| None") else {} if schema.get("type") == "object" else ...
    return f"{kind}, {'...' if default is ... and 'default' not in schema else repr(schema.get('default', default))}"


def _name(schema: str) -> str:
    return schema.removesuffix("View")


def _add_record(records: dict[str, str], schemas: Schema, name: str) -> None:
    """Write a record after those that it refers to."""
    schema = schemas[name]
    for inner in re.findall(r"'#/components/schemas/(\w+)'", str(schema["properties"])):
        if _name(inner) not in records:
            _add_record(records, schemas, inner)
    fields = {field: prop for field, prop in schema["properties"].items() if "const" not in prop}
    records[_name(name)] = "\n".join([
        f"\nclass {_name(name)}(Model):",
        *_docstring(schema["description"], fields),
        *(f"    {field}: {_record_type(_name(name), field, prop, records)}" for field, prop in fields.items()),
        "",
    ])  # fmt: skip


def _record_type(record: str, field: str, prop: Schema, records: dict[str, str]) -> str:
    """The type and default of a field."""
    kind = annotation(prop, array="list", is_open=True)
    if field.endswith(_TIMES) and "float" not in kind:  # the time of a batch is what was given, a number or text
        kind = kind.replace("str", "datetime")
    default = ABSENT.get(field, prop.get("default"))
    if field in REQUIRED.get(record, "").split():
        return kind
    if default not in (None, []):
        return f"{kind} = {default!r}"
    if kind in records and kind not in REQUIRED:
        return f"{kind} = {kind}()"
    if kind.startswith(("list", "dict")) and "None" not in kind.rpartition("]")[2]:
        return f"{kind} = Field(default_factory={kind[:4]})"
    return f"{kind} = None" if kind == "Any" or kind.endswith("| None") else f"{kind} | None = None"


def _reading() -> Schema:
    """The options of reading, which an upload takes as parameters."""
    properties: Schema = Reading.model_json_schema()["properties"]
    return properties


def _options(head: str, about: str, options: Schema, array: str = "Sequence") -> str:
    lines = (f"    {n}: {annotation(p, array=array, mapping='Mapping')}" for n, p in options.items())
    return "\n".join([f"\nclass {head}:", *_docstring(about, options), *lines, ""])


def _docstring(about: str, fields: Schema) -> Iterator[str]:
    """A docstring with one entry for each field that has a description."""
    described = {name: prop for name, prop in fields.items() if "description" in prop}
    yield textwrap.fill(f'"""{about}', 120, initial_indent="    ", subsequent_indent="    ") + '"""' * (not described)
    if described:
        yield "\n    Attributes:"
        for name, prop in described.items():
            default = "" if prop.get("default") in (None, []) else f" Default: {prop['default']!r}."
            about = f"{name}: {prop['description']}{default}".replace("\\", "\\\\")
            yield textwrap.fill(about, 120, initial_indent=" " * 8, subsequent_indent=" " * 12)
        yield '    """'
    yield ""


def _shown() -> Iterator[str]:
    yield "\nSHOWN: tuple[tuple[tuple[str, ...], str, str, str], ...] = ("
    for _, path, shown in shown_figures():
        form = f".{shown['decimals']}f" if "decimals" in shown else f".{shown['digits']}g"
        yield f"    ({path!r}, {shown['name']!r}, {form!r}, {shown['meaning']!r}),"
    yield ")"
    yield '"""Path in a result, name, format and meaning of each figure of the printed summary, in order."""\n'
