"""Reports calls that may block, made in the thread of a running event loop; python imports this module when it starts.

WDIST_LOOP_REPORT names the file that gets a paragraph for each place in the code that makes such a call. It works in
the API process alone: loop_watch.py starts servers with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from types import FrameType
from typing import Any

_POSIX = {
    *("access", "chmod", "fdatasync", "fsync", "ftruncate", "link", "listdir", "lstat", "mkdir", "open", "pread"),
    *("posix_fadvise", "pwrite", "read", "readlink", "remove", "rename", "replace", "rmdir", "scandir", "stat"),
    *("statvfs", "symlink", "truncate", "unlink", "utime", "waitpid", "write"),
}
_MODULES = {"posix": _POSIX, "io": {"open", "open_code"}, "fcntl": {"flock", "lockf"}, "time": {"sleep"}}
_FILES = frozenset({"FileIO", "BufferedReader", "BufferedWriter", "BufferedRandom"})
_OF_FILES = frozenset({"read", "readinto", "readline", "write", "flush", "close"})
_WAITING = {
    threading.Condition.wait.__code__: "threading.Condition.wait",
    threading.Thread.join.__code__: "threading.Thread.join",
}
# Reading Python code, for a late import, a traceback or the place of an endpoint, is no call of the storage.
# Whoever starts a thread waits until it runs, and asyncio itself waits for its threads when it ends.
_OF_PYTHON = ("importlib", "inspect.py", "linecache.py", "zipimport", "threading.py start", "shutdown_default_executor")
_seen: set[tuple[str, str]] = set()


def _watch(frame: FrameType, event: str, called: Any) -> None:
    if event not in {"c_call", "call"} or asyncio._get_running_loop() is None:
        return
    name = _blocking(frame, called) if event == "c_call" else _WAITING.get(frame.f_code)
    if name is not None and not (event == "call" and frame.f_locals.get("timeout") == 0):
        report(name, frame)


def _blocking(frame: FrameType, called: Any) -> str | None:
    """What a built-in function is called, if it may block."""
    module, name = called.__module__, called.__name__
    if name in _MODULES.get(module, ()):
        return f"{module}.{name}"
    kind = type(getattr(called, "__self__", None))
    if kind.__module__ == "sqlite3" or (kind.__name__ in _FILES and name in _OF_FILES):
        return f"{kind.__name__}.{name}"
    return f"obstore.{name}" if f"{os.sep}obstore{os.sep}" in frame.f_code.co_filename else None


def report(name: str, frame: FrameType | None) -> None:
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), lookup_lines=False)
    places = [f"{each.filename} {each.name} {each.lineno}" for each in stack]
    if any(word in place for place in places for word in _OF_PYTHON):
        return
    # What is further out, middleware and the event loop, is the same for all; who called it is not.
    end = next((k for k, place in enumerate(places) if "wdist_service" in place), len(places)) + 1
    own = [place for place in places[end:] if "wdist_service" in place and "middleware" not in place]
    key = name, next((place for place in places if "wdist_service" in place), places[0])
    if key not in _seen:
        _seen.add(key)
        text = "\n  ".join([f"{name} in the event loop", *places[:end], *own]) + "\n"
        descriptor = os.open(os.environ["WDIST_LOOP_REPORT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _watch_statements() -> None:
    """Drivers other than sqlite3's are no built-in functions: ask SQLAlchemy."""
    from sqlalchemy import Engine, event

    def executes(*_: Any) -> None:
        if asyncio._get_running_loop() is not None:
            report("a statement of the database", sys._getframe(1))

    event.listen(Engine, "before_cursor_execute", executes)
    event.listen(Engine, "do_connect", executes)


if "WDIST_LOOP_REPORT" in os.environ and "wdist_service.processes.api" in sys.orig_argv:
    _watch_statements()
    sys.setprofile(_watch)
