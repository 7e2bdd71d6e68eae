"""A terminal of one's own, and what it shows."""

import os
import select


def until(terminal: int, word: str, seconds: float) -> str:
    """What a terminal shows until it has said a word, or is silent for so long."""
    seen = b""
    while word.encode() not in seen and select.select([terminal], [], [], seconds)[0]:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the process at its other end is gone
            break
    return seen.decode(errors="replace")
