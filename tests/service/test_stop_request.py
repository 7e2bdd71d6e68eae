"""A server that is told to end does end, at whatever moment it is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

LOOP = """
import sys, time
from wdist_service.lifetime import StopRequest
stop = StopRequest()
print("ready", flush=True)
while not stop.has_come:
    pass
print("stopped", flush=True)
"""


def test_a_signal_is_noted_by_a_main_thread_that_never_rests() -> None:
    """A handler that set a threading.Event could wait for a lock that its own thread held: a server never ended."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.05)
            process.send_signal(number)
            assert process.stdout.readline() == "stopped\n"
            assert process.wait(10) == 0
