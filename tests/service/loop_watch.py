"""Servers whose API process reports what blocks its event loop: storage, database, files, waiting for threads."""

from __future__ import annotations

import os
from pathlib import Path

_HOOK = Path(__file__).with_name("watched_loop")


class LoopWatch:
    """Give `environment` to a server, use it, and ask what `found` says."""

    def __init__(self, folder: Path) -> None:
        self._report = folder / "loop_report"
        path = os.pathsep.join(filter(None, [str(_HOOK), os.environ.get("PYTHONPATH")]))
        self.environment: dict[str, str | None] = {"PYTHONPATH": path, "WDIST_LOOP_REPORT": str(self._report)}

    def found(self) -> str:
        """The calls that blocked the loop, with the places that made them; empty if there were none."""
        return self._report.read_text() if self._report.exists() else ""
