"""A certificate as a server answers it."""

from __future__ import annotations

import hashlib
from os import PathLike
from pathlib import Path


class Certificate(bytes):
    """The bytes of a certificate, which `wdist verify` checks.

    They are bytes like any others: only that they are shown in one line, and saved as the library's are.
    """

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return bytes(self)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file. Pass it on separately from the file itself."""
        return hashlib.sha256(self).hexdigest()

    def save(self, path: str | PathLike[str]) -> str:
        """Write the file and return its SHA-256."""
        Path(path).write_bytes(self)
        return self.sha256

    def __repr__(self) -> str:
        return f"<Certificate: {len(self):,} bytes, sha256 {self.sha256}>"

    __str__ = __repr__
