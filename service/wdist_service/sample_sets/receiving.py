"""Bodies that are being received count, all of a tenant together, against what its quota leaves."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wdist_service.http.executors import BusyError
from wdist_service.keys.quotas import Room

_RETRY_SECONDS = 5
Feed = Callable[[memoryview], None]


class Receiving:
    """How many bytes of each tenant this process has on its disk that are not stored yet."""

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def within(self, room: Room, left: int | None, feed: Feed) -> Iterator[Feed]:
        """`feed`, for one body of which the quota leaves `left` bytes (None: any number).

        The feed raises QuotaError for a body that is too long by itself, and BusyError for one that is too long beside
        the tenant's other bodies: a thousand at once would fill the disk, though each is short enough.
        """
        if left is None:
            yield feed
            return
        tenant_id, own = room.tenant_id, 0

        def counted(data: memoryview) -> None:
            nonlocal own
            if own + len(data) > left:
                raise room.refusal(left)
            with self._lock:
                if self._bytes[tenant_id] + len(data) > left:
                    raise BusyError(
                        f"this body and the others that are being received would take more than the {left:,} bytes "
                        "that are left of this key's quota; send them one after the other",
                        retry_after=_RETRY_SECONDS,
                    )
                self._bytes[tenant_id] += len(data)
            own += len(data)
            feed(data)

        try:
            yield counted
        finally:
            with self._lock:
                self._bytes[tenant_id] -= own
                if not self._bytes[tenant_id]:
                    del self._bytes[tenant_id]
