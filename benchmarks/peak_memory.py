"""The beginning of a process whose memory is watched; programs put what they measure behind it.

`peak[0] - before` is the peak of its anonymous resident memory (RssAnon), in MB, above the interpreter with torch and
wdist loaded.
"""

import textwrap

WATCHED = textwrap.dedent("""
    import json, sys, threading, time
    from wdist import estimate_w1

    def anonymous():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

    import torch, wdist.training.selection, ot
    torch.ones(100, 100) @ torch.ones(100, 100)
    before, peak = anonymous(), [0.0]

    def watch():
        while True:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
""")
