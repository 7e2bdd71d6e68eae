"""Who is connected: at most so many, and nobody for ever.

A peer that does not read leaves its answer in the buffers of both kernels and of this process. It is *stalled* while
bytes wait for it and it acknowledges none. A paused download looks the same, so a stalled peer may stay for
`write_timeout_seconds`, unless the server is full: then the one that has stalled longest makes room. A peer for which
nothing waits, such as a listener to events that do not come, is never stalled.

A caller with many such listeners must not shut others out: on a full server, who has far fewer connections gets one of
theirs.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from wdist_service.http.connections.turns import Lane
from wdist_service.http.metrics import HttpMetrics
from wdist_service.settings import Settings

if TYPE_CHECKING:
    from wdist_service.http.connections.protocol import GuardedProtocol

log = logging.getLogger("wdist.connections")
LEAST_BYTES_PER_SECOND = 1024  # as for bodies: who takes less for the whole of write_timeout_seconds holds a connection
_FRESH_SECONDS = 1.0  # a connection that has been idle for less may be about to send its request
_STALLED_SECONDS = 5.0  # for so long a stalled peer is safe on a full server
_UNWANTED_SECONDS = 5.0  # how long the rest of a body may keep coming once its request has been answered
_BLOCK_BYTES, _SMALL_BLOCK_BYTES = 64 << 10, 16 << 10  # small ones take four times as much of the processor
_READ_BYTES, _SMALL_READ_BYTES = 512 << 10, 64 << 10  # asyncio's default is 256 KiB
_MANY = 128  # connections that get large blocks
_WAITING_BYTES = 16 << 20  # of answers, in this process; beyond this stalled peers make room
_RESERVE = 64  # connections beyond the limit, for /livez and to say that the server is full
_OTHER_DESCRIPTORS = 256  # the database's, logs, libraries, uploads being decoded
_FAR_MORE = 4  # times as many connections as another caller has: who has them gives one up on a full server
_TCP_INFO_BYTES = 148


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may have; the usual 1,024 is for programs that call select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS, where "unlimited" is more than the kernel takes
        log.warning("the limit of open files stays as it is: %s", error)


def most_connections(wanted: int) -> int:
    """How many of the wanted connections there are descriptors for. A download needs a second one, for its file."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = max(16, (soft - _OTHER_DESCRIPTORS - _RESERVE) // 2)
    if soft == resource.RLIM_INFINITY or possible >= wanted:
        return wanted
    log.warning(
        "max_connections is %d, but %d open files are enough for %d only; raise the limit (ulimit -n)",
        wanted, soft, possible,
    )  # fmt: skip
    return possible


class Progress:
    """How one peer takes what is written to it."""

    def __init__(self, now: float) -> None:
        self._began = self._moved = now  # of the window, and when bytes were last taken or none were waiting
        self._taken = self._at_begin = self._here = 0

    def look(self, transport: asyncio.Transport, now: float) -> None:
        """Note what the peer has taken by now.

        Bytes that the kernel has taken say little. It takes 4 MB for a peer that reads none, and once it is full it
        takes no more until a third is free. Only Linux says what was acknowledged; elsewhere what the kernel took must
        do.
        """
        here, before = transport.get_write_buffer_size(), self._taken
        told = _tcp_info(transport)
        if told is None:
            self._taken += abs(here - self._here)
            is_waiting = here > 0
        else:
            self._taken, in_kernel = told
            is_waiting = here + in_kernel > 0
        self._here = here
        if self._taken != before or not is_waiting:
            self._moved = now
        if not is_waiting:
            self._began, self._at_begin = now, self._taken

    def stalled(self, now: float) -> float:
        """Seconds for which bytes have waited and none was taken."""
        return now - self._moved

    def is_too_slow(self, now: float, seconds: float) -> bool:
        """Whether bytes have always waited in a window of so many seconds, and hardly any was taken."""
        if now - self._began < seconds:
            return False
        taken = self._taken - self._at_begin
        self._began, self._at_begin = now, self._taken
        return taken < LEAST_BYTES_PER_SECOND * seconds


def _tcp_info(transport: asyncio.Transport) -> tuple[int, int] | None:
    """(bytes that the peer has acknowledged, more than 0 if others are in the kernel); None if nobody knows."""
    connection: Any = transport.get_extra_info("socket")
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except (AttributeError, OSError):
        return None
    if len(told) < _TCP_INFO_BYTES:
        return None
    acknowledged = int.from_bytes(told[120:128], sys.byteorder)  # tcpi_bytes_acked of linux/tcp.h
    in_flight, unsent = (int.from_bytes(told[at : at + 4], sys.byteorder) for at in (24, 144))  # unacked, notsent_bytes
    return acknowledged, in_flight + unsent


class Peers:
    """All connections of this process. One thread uses it: the event loop's."""

    def __init__(self, settings: Settings, metrics: HttpMetrics) -> None:
        self.header_seconds = settings.header_timeout_seconds
        self._write_seconds = settings.write_timeout_seconds
        self._most = most_connections(settings.max_connections)
        self._metrics = metrics
        self.pipelined = Lane()
        self._all: dict[GuardedProtocol, Progress] = {}  # in the order in which they came, as the next two
        self._idle: dict[GuardedProtocol, float] = {}  # between two requests, and since when
        self._surplus: dict[GuardedProtocol, None] = {}
        self._callers: dict[GuardedProtocol, str] = {}  # who sent the latest request; without the surplus
        self._stalled: list[GuardedProtocol] = []  # as `tend` last saw it, the longest last
        metrics.connections.set_function(lambda: len(self._all))

    def __len__(self) -> int:
        return len(self._all)

    @property
    def block_bytes(self) -> int:
        """How much of a file is to be read at once."""
        return _BLOCK_BYTES if len(self._all) <= _MANY else _SMALL_BLOCK_BYTES

    @property
    def read_bytes(self) -> int:
        """How much of a body is to be read at once."""
        return _READ_BYTES if len(self._all) <= _MANY else _SMALL_READ_BYTES

    def admit(self, peer: GuardedProtocol) -> bool:
        """Note a new connection. Returns whether it may ask for anything; if not, only for /livez."""
        now = time.monotonic()
        has_room = len(self._all) - len(self._surplus) < self._most or self._make_room(now)
        self._all[peer] = Progress(now)
        if has_room:
            self._idle[peer] = now
        else:
            self._surplus[peer] = None
            if len(self._surplus) > _RESERVE:
                self.cut(next(iter(self._surplus)), "refused")
        return has_room

    def welcome(self, peer: GuardedProtocol, caller: str) -> bool:
        """Let a connection beyond the limit have a place after all, now that it has said who it is."""
        now = time.monotonic()
        has_place = len(self._all) - len(self._surplus) < self._most or self._make_room(now)
        if peer in self._surplus and (has_place or self._make_room_for(caller)):
            del self._surplus[peer]
            self.belongs(peer, caller)
        return peer not in self._surplus

    def belongs(self, peer: GuardedProtocol, caller: str) -> None:
        """Note who sent the request that begins on this connection."""
        if peer in self._all:
            self._callers[peer] = caller

    def leave(self, peer: GuardedProtocol) -> None:
        """Forget a connection that has ended."""
        self._all.pop(peer, None)
        self._idle.pop(peer, None)
        self._surplus.pop(peer, None)
        self._callers.pop(peer, None)

    def note(self, peer: GuardedProtocol, *, is_busy: bool) -> None:
        """Note that a request has begun on this connection, or that the last one has been answered."""
        if is_busy:
            self._idle.pop(peer, None)
        elif peer not in self._surplus and peer in self._all:
            self._idle.setdefault(peer, time.monotonic())

    def cut(self, peer: GuardedProtocol, reason: str) -> None:
        """End a connection at once, and leave unsent what has not been sent. `reason` is one of metrics.CUTS."""
        self.count(reason)
        self.leave(peer)
        peer.transport.abort()
        log.warning("connection cut: %s", reason, extra={"peer": peer.client and peer.client[0]})

    def count(self, reason: str) -> None:
        self._metrics.cuts.labels(reason).inc()

    def cut_all(self) -> None:
        """End what is left of all connections, when the server ends."""
        for peer in list(self._all):
            self.cut(peer, "stop")

    def tend(self) -> None:
        """Cut who takes too little, or sends a body that nobody reads. Call it each second."""
        now, waiting = time.monotonic(), 0
        stalled = []
        for peer, progress in list(self._all.items()):
            progress.look(peer.transport, now)
            if progress.is_too_slow(now, self._write_seconds):
                self.cut(peer, "unread")
            elif peer.unwanted_since is not None and now - peer.unwanted_since > _UNWANTED_SECONDS:
                self.cut(peer, "unwanted_body")
            else:
                waiting += peer.transport.get_write_buffer_size()
                if progress.stalled(now) >= _STALLED_SECONDS:
                    stalled.append((progress.stalled(now), id(peer), peer))
        self._stalled = [peer for *_, peer in sorted(stalled)]
        if waiting > _WAITING_BYTES:
            self._shed(waiting - _WAITING_BYTES)

    def _make_room(self, now: float) -> bool:
        """End the connection that needs its place least; returns whether there was one."""
        peer, since = next(iter(self._idle.items()), (None, now))
        if peer is not None and now - since >= _FRESH_SECONDS:
            self.cut(peer, "room")
            return True
        while self._stalled:
            peer = self._stalled.pop()
            if (progress := self._all.get(peer)) is not None:
                progress.look(peer.transport, now)
                if progress.stalled(now) >= _STALLED_SECONDS:
                    self.cut(peer, "room")
                    return True
        return False

    def _make_room_for(self, caller: str) -> bool:
        """End the oldest connection of the caller with most of them, if this one has far fewer."""
        counts = Counter(self._callers.values())
        ((other, most),) = counts.most_common(1) or [("", 0)]
        if most < _FAR_MORE * (counts[caller] + 1):
            return False
        self.cut(next(peer for peer, name in self._callers.items() if name == other), "room")
        return True

    def _shed(self, much: int) -> None:
        """Cut stalled peers until so many bytes less are waiting, those with most of them first."""
        for peer in sorted(self._stalled, key=lambda peer: peer.transport.get_write_buffer_size(), reverse=True):
            if much <= 0:
                return
            much -= peer.transport.get_write_buffer_size()
            self.cut(peer, "room")
