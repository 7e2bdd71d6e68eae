"""The child: `python -I -m wdist_service.decoding FORMAT DESCRIPTOR MAX_BYTES MEMORY_BYTES SECONDS SELECTION`.

The body is standard input, the array goes to DESCRIPTOR, one JSON object {columns, name, table, notes} or {error, kind}
is the last line of standard output. Limits are set before a byte of the body is read; the kernel ends a child that
outlives them.

Two more arguments split a table: a descriptor for the whole of it, and {"by", "levels"} as JSON. DESCRIPTOR then gets
one array for each level, and the report lists [level, bytes] of each as "sets".
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wdist_service.lifetime import die_with_parent

if TYPE_CHECKING:
    from wdist.data.tables.found import Found


def limit(max_bytes: int, memory_bytes: int, seconds: int) -> None:
    """Address space, processor and wall-clock seconds, size of the output, no core file, few descriptors."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes + (1 << 20), max_bytes + (1 << 20)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
    signal.alarm(seconds)
    os.nice(5)  # the API answers first


def decode(kind: str, descriptor: int, max_bytes: int, selection: str, split: Sequence[str]) -> dict[str, Any]:
    """Decode standard input; returns what is known beside the values."""
    from wdist.data.readers import registry
    from wdist.data.tables.writer import ArrayWriter
    from wdist.definitions.reading import Selection

    take = Selection.model_validate_json(selection)
    if not split:
        return _report(
            registry.read(registry.FORMATS[kind], sys.stdin.buffer, ArrayWriter(descriptor, max_bytes), take)
        )
    from wdist_service.decoding.levels import write_levels

    whole, asked = int(split[0]), json.loads(split[1])
    found = registry.read(registry.FORMATS[kind], sys.stdin.buffer, ArrayWriter(whole, max_bytes), take)
    _check_text(found)  # with the levels of the column that is split, which are in no schema after that
    found, sets = write_levels(whole, descriptor, found, asked["by"], asked["levels"])
    return {**_report(found), "sets": sets}


def _report(found: Found) -> dict[str, Any]:
    from wdist.data.columns import kept_name
    from wdist.data.tables.found import DecodeError
    from wdist_service.decoding.formats import MAX_NAMES, MAX_NOTES, MAX_TABLE_BYTES
    from wdist_service.text import shown

    _check_text(found)
    columns = found.columns if found.columns is not None and len(found.columns) <= MAX_NAMES else None
    table = None if found.table is None else found.table.to_json()
    if table is not None and len(json.dumps(table)) > MAX_TABLE_BYTES:
        raise DecodeError(
            f"names of columns and levels take more than {MAX_TABLE_BYTES:,} bytes; leave columns with long texts out"
        )
    notes = [shown(note[:1000]) for note in found.notes[:MAX_NOTES]]
    columns = columns and [kept_name(column) for column in columns]
    return {"columns": columns, "name": found.name, "table": table, "notes": notes}


def _check_text(found: Found) -> None:
    """Raise DecodeError if a name or a level in the file is text that may not be stored."""
    from wdist.data.tables.found import DecodeError
    from wdist_service.text import fault_in_data, fault_in_line, fault_in_text

    table = () if found.table is None else found.table.columns
    for name in [*(found.columns or ()), *(column.name for column in table)]:
        if (fault := fault_in_text(name)) is not None:
            raise DecodeError(f"a column is named {name[:100]!r}: the name {fault}; write the file without it")
    for column in table:
        for level in column.levels:
            if (fault := fault_in_data(level)) is not None:
                raise DecodeError(
                    f"column {column.name[:100]!r} holds {level[:100]!r}, which {fault}; write the file without it"
                )
    if (fault := fault_in_line(found.name or "")) is not None:
        raise DecodeError(f"it calls itself {(found.name or '')[:100]!r}: the name {fault}")


def main() -> None:
    die_with_parent()
    kind, descriptor, max_bytes, memory_bytes, seconds, selection, *split = sys.argv[1:]
    limit(int(max_bytes), int(memory_bytes), int(seconds))
    try:
        report = decode(kind, int(descriptor), int(max_bytes), selection, split)
    except MemoryError:
        report = {"kind": "memory", "error": ""}
    except Exception as error:
        from wdist.data.tables.naming import ANOTHER

        said = str(error).partition(ANOTHER)[0] if split else str(error)
        report = {"kind": _kind(error), "error": said[:1000]}
    sys.stdout.write("\n" + json.dumps(report))  # standard error goes to the same pipe


def _kind(error: Exception) -> str:
    from wdist.data.tables.found import DecodeError, TooLargeError
    from wdist.errors import OptionError, SampleError

    if isinstance(error, OptionError):
        return "levels"
    if isinstance(error, TooLargeError):
        return "too_large"
    if isinstance(error, DecodeError | SampleError):
        return "invalid"
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return "disk_full"
    if number == errno.ENOMEM or "bad_alloc" in str(error) or "malloc" in str(error):
        return "memory"
    return "unreadable"


if __name__ == "__main__":
    main()
