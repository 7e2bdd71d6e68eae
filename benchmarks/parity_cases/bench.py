"""What a case is given: a folder of its own, the checkout's command, and a server that all cases share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tree import wdist_command


class Bench:
    """Used in `with`; the server that was started is stopped at the end."""

    def __init__(self, tree: Path, root: Path) -> None:
        self.command = wdist_command(tree)
        self.folder = root
        self._root = root
        self._exits = ExitStack()
        self._server: Any = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def begin(self, name: str) -> None:
        """Make a folder for the next case."""
        self.folder = self._root / name.replace("/", "-")
        self.folder.mkdir()

    def new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    @property
    def server(self) -> Any:
        """The running server, started when it is first asked for."""
        if self._server is None:
            from server import RunningServer

            self._server = self._exits.enter_context(RunningServer(self.command, self._root / "server"))
        return self._server

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run `wdist` in the folder of the case."""
        environment = {**os.environ, "COLUMNS": "100"}
        done = subprocess.run(
            [*self.command, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300
        )
        return {"exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


Case = Callable[[Bench], dict[str, Any]]
