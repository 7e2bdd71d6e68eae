"""The part of a file that becomes the sample set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class Selection:
    """One array of an .npz file (`member`), one label column of a table (`labels`), or a table less some (`drop`)."""

    member: str | None = None
    labels: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def of_a_table(self) -> bool:
        """Whether the selection is among the columns of a table."""
        return self.labels is not None or bool(self.drop)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        given = json.loads(text)
        return cls(given["member"], given["labels"], tuple(given["drop"]))
