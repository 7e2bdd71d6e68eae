"""Where content goes that no row names, or that is damaged: kept for some days, in case the database was wrong.

Each piece lies under the moment at which it was set aside: `quarantine/2026-11-29T101500Z/<sha256>`. One that is not
what its name says has `.damaged` behind it, and a folder of its own, `2026-11-29T101500Z-3f2a91c4`: several may be met
in one second, and some of them are folders themselves.
"""

from __future__ import annotations

import calendar
import secrets
import time
from dataclasses import dataclass

FOLDER = "quarantine"
_DAMAGED = ".damaged"
_STAMP = "%Y-%m-%dT%H%M%SZ"


@dataclass(frozen=True)
class SetAside:
    """A piece of content in quarantine. `key` is its place below `quarantine/`."""

    key: str

    @property
    def sha256(self) -> str:
        return self.key.rpartition("/")[2].removesuffix(_DAMAGED)

    @property
    def is_damaged(self) -> bool:
        return self.key.endswith(_DAMAGED)

    @property
    def age(self) -> float:
        """Seconds since it was set aside; 0 if its folder has no date in its name."""
        try:
            return time.time() - calendar.timegm(time.strptime(self.key.partition("Z")[0] + "Z", _STAMP))
        except ValueError:
            return 0.0


def new_place(sha256: str, *, is_damaged: bool = False) -> SetAside:
    """The place of a piece that is set aside now."""
    now = time.strftime(_STAMP, time.gmtime())
    return SetAside(f"{now}-{secrets.token_hex(4)}/{sha256}{_DAMAGED}" if is_damaged else f"{now}/{sha256}")
