"""Runs decoders in child processes: one that dies, hangs or grows does no harm to the API."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from wdist.definitions.reading import Selection
from wdist_service.decoding.formats import Format
from wdist_service.errors import FaultError, InvalidError, TooLargeError
from wdist_service.lifetime import PARENT_VARIABLE
from wdist_service.settings import Settings
from wdist_service.storage.files import Decoded, DiskFullError

log = logging.getLogger("wdist.decoding")
_MAX_REPORT_BYTES = 8 << 20
_GRACE_SECONDS = 5.0  # the child ends itself; this is for one that does not
_OUT_OF_TIME_OR_MEMORY = {-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL}
# The last words of Python, and of C++, which then aborts: of one thread, of two at once, of one without a stack.
_OUT_OF_MEMORY = (b"MemoryError", b"std::bad_alloc", b"terminate called recursively", b"std::system_error")


class NoRoomError(Exception):
    """The array takes more bytes than its owner may still store. The decoder has written no more than these."""


@dataclass(frozen=True)
class Report:
    """What a decoder found apart from the values, as `wdist.data.tables.found.Found` has it; `table` as JSON.

    sets: of a table that was split, each level and the bytes of its file.
    """

    columns: list[str] | None = None
    name: str | None = None
    table: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    sets: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class LevelsOf:
    """The column whose levels become sets; `levels` are those that are taken, in this order, None all of them."""

    by: str
    levels: list[str] | None = None


class Decoders:
    """Runs decoders, as many at once as the settings allow."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def decode(self, source: Path, kind: Format, take: Selection, target: Decoded, left: int | None = None) -> Report:
        """Turn the body in `source` into an .npy file in `target`, of at most `left` bytes (None: any).

        Raises InvalidError, TooLargeError, DiskFullError or FaultError, with a message for the client; NoRoomError for
        more bytes than are left.
        """
        return self._reported(source, kind, take, [target], [], left)

    def split(
        self,
        source: Path,
        kind: Format,
        take: Selection,
        of: LevelsOf,
        whole: Decoded,
        target: Decoded,
        left: int | None = None,
    ) -> Report:
        """Turn the table in `source` into an .npy file for each level, one after the other in `target`.

        `whole` is room for the table, which `take` reads with the column as a category. Raises as `decode` does.
        """
        what = [str(whole.descriptor), json.dumps(asdict(of))]
        return self._reported(source, kind, take, [target, whole], what, left)

    def _reported(
        self, source: Path, kind: Format, take: Selection, targets: list[Decoded], split: list[str], left: int | None
    ) -> Report:
        limit = self._settings.max_upload_bytes
        most = limit if left is None else min(limit, left)
        output, code = self._run(source, kind, most, [take.model_dump_json(), *split], targets)
        report = _parse(output, code)
        if report.get("kind") == "too_large" and most < limit:
            raise NoRoomError
        if report.get("kind") == "broken":
            said = output[-1000:].decode(errors="replace")
            log.error("a decoder broke down", extra={"format": kind, "exit_code": code, "output": said})
        if "error" in report:
            self._refuse(kind, str(report.get("kind")), str(report["error"]))
        return Report(**{each.name: report[each.name] for each in fields(Report) if each.name in report})

    def _run(self, source: Path, kind: Format, most: int, what: list[str], targets: list[Decoded]) -> tuple[bytes, int]:
        settings, descriptors = self._settings, tuple(target.descriptor for target in targets)
        command = [sys.executable, "-I", "-m", "wdist_service.decoding", kind, str(descriptors[0])]
        command += [str(n) for n in (most, settings.decoder_memory_bytes, settings.decoder_seconds)]
        with source.open("rb") as body:
            process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*command, *what],
                stdin=body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=descriptors, cwd="/",
                env=_ENVIRONMENT | {PARENT_VARIABLE: str(os.getpid())},
            )  # fmt: skip
        killer = threading.Timer(settings.decoder_seconds + _GRACE_SECONDS, process.kill)
        killer.start()
        try:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            with process.stdout as pipe:
                output = pipe.read(_MAX_REPORT_BYTES)
            if len(output) == _MAX_REPORT_BYTES:
                process.kill()
        finally:
            process.wait()
            killer.cancel()
        return output, process.returncode

    def _refuse(self, kind: Format, reason: str, message: str) -> None:
        if reason == "disk_full":
            raise DiskFullError(message)
        if reason == "too_large":
            raise TooLargeError(f"the body ({kind}) is too large: {message}", field="body")
        if reason == "invalid":
            raise InvalidError(f"the body ({kind}): {message}", field="body")
        if reason == "levels":
            raise InvalidError(message, field="levels")
        if reason == "broken":
            raise FaultError(f"the reader of {kind} broke down; send it again, or send the array as .npy")
        settings = self._settings
        if reason == "memory":
            raise InvalidError(
                f"the body ({kind}) needs more than the {settings.decoder_memory_bytes >> 20:,} MiB or "
                f"{settings.decoder_seconds} s that may be spent on reading it; send the array as .npy",
                field="body",
            )
        raise InvalidError(
            f"the body cannot be read as {kind}; write it again, or send the array as .npy", field="body"
        )


_ENVIRONMENT = {
    "PATH": os.defpath, "LC_ALL": "C.UTF-8", "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1",
}  # fmt: skip


def _parse(output: bytes, code: int) -> dict[str, Any]:
    """The report in the last line of the output, or one that says why there is none."""
    if code == 0:
        with suppress(ValueError):
            report = json.loads(output.rpartition(b"\n")[2])
            if isinstance(report, dict):
                return report
    is_limited = code in _OUT_OF_TIME_OR_MEMORY or any(words in output for words in _OUT_OF_MEMORY)
    return {"kind": "memory" if is_limited else "broken", "error": ""}
