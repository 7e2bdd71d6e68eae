"""One request to a receiver: to an address that was checked, within a limit of time, reading little of the answer."""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import h11

from wdist_service.text import shown
from wdist_service.webhooks.addresses import Address, Network, RefusedAddressError, Target, resolve, target_of

SECONDS = 15.0  # for all of a request: name, connection, TLS, sending, answer
KEPT_CHARACTERS = 500
_BODY_BYTES = 4096
_BODY_SECONDS = 2.0  # once the status is there, the body is for the log only
_HEAD_BYTES = 16 * 1024
_MOST_BYTES = _HEAD_BYTES + 2 * _BODY_BYTES  # of everything, with what a chunked body has around its bytes
_LONGEST_RETRY_AFTER = 86_400.0


class SendingError(Exception):
    """There was no answer; the message says why, in words."""


@dataclass(frozen=True)
class Answer:
    """What a receiver answered."""

    status: int
    body: str  # how it begins
    retry_after: float | None  # seconds

    @property
    def is_success(self) -> bool:
        return HTTPStatus(200) <= self.status < HTTPStatus(300)

    @property
    def reason(self) -> str:
        """Why it is no success, in words."""
        if HTTPStatus(300) <= self.status < HTTPStatus(400):
            return f"the receiver answered {self.status}: redirects are not followed, change the webhook's url"
        return f"the receiver answered {self.status}"


def post(url: str, private: Sequence[Network], headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
    """Send a body, and wait `seconds` for the answer at most. Raises SendingError."""
    deadline = time.monotonic() + seconds
    try:
        target = target_of(url, private)
        addresses = resolve(target, private, seconds)
        with _connected(target, addresses, deadline) as connection:
            return _exchange(connection, target, headers, body, deadline)
    except RefusedAddressError as error:
        raise SendingError(f"the address is refused: {error}") from None
    except TimeoutError:
        raise SendingError(f"no answer within {seconds:.0f} s") from None
    except ssl.SSLCertVerificationError as error:
        raise SendingError(f"the receiver's certificate is not valid: {error.verify_message}") from None
    except (OSError, h11.ProtocolError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SendingError(f"no answer: {shown(reason)[:200]}") from None


def _connected(target: Target, addresses: Sequence[Address], deadline: float) -> socket.socket:
    """A connection to the first of these addresses that takes one. Raises OSError."""
    for place, address in enumerate(addresses):
        others = len(addresses) - place
        try:
            raw = socket.create_connection((str(address), target.port), _left(deadline) / others)
            break
        except OSError:
            if others == 1:
                raise
    if not target.is_tls:
        return raw
    try:
        raw.settimeout(_left(deadline))
        return _tls().wrap_socket(raw, server_hostname=target.host)
    except BaseException:
        raw.close()
        raise


@functools.cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _exchange(
    connection: socket.socket, target: Target, headers: Mapping[str, str], body: bytes, deadline: float
) -> Answer:
    """Send the request and read the answer. Raises OSError and h11.ProtocolError."""
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    fields = {"Host": target.authority, "Connection": "close", "Content-Length": str(len(body)), **headers}
    out = (
        protocol.send(h11.Request(method="POST", target=target.path, headers=list(fields.items()))),
        protocol.send(h11.Data(data=body)),
        protocol.send(h11.EndOfMessage()),
    )
    answer = _Answering(connection, protocol, deadline)
    answer.send(b"".join(part for part in out if part))
    while not isinstance(event := answer.next_event(), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise ConnectionError("the receiver closed the connection")
    return Answer(event.status_code, answer.body(), _retry_after(event))


class _Answering:
    """Reads one answer. A receiver that never ends it, or sends it byte by byte, gains no more time."""

    def __init__(self, connection: socket.socket, protocol: h11.Connection, deadline: float) -> None:
        self._connection, self._protocol, self._deadline = connection, protocol, deadline
        self._bytes_left = _MOST_BYTES
        self._early: object = None  # an event that came before all was sent

    def send(self, data: bytes) -> None:
        """Send a request, or as much of it as the receiver reads before it answers or closes the connection."""
        left = memoryview(data)
        self._connection.setblocking(False)
        while left:
            wanted = select.POLLIN
            try:
                left = left[self._connection.send(left) :]
                continue
            except ssl.SSLWantReadError:
                pass
            except (BlockingIOError, ssl.SSLWantWriteError):
                wanted |= select.POLLOUT
            except OSError:
                return  # what it has said before can be read still
            poll = select.poll()
            poll.register(self._connection, wanted)
            found = poll.poll(_left(self._deadline) * 1000)
            if any(event & ~select.POLLOUT for _, event in found) and self._has_answered():
                return

    def _has_answered(self) -> bool:
        """Whether there is an answer already, or the end of the connection."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            self._receive()
        while isinstance(event := self._protocol.next_event(), h11.InformationalResponse):
            pass
        self._early = None if event is h11.NEED_DATA else event
        return self._early is not None

    def next_event(self) -> object:
        event, self._early = self._early, None
        while event is None or event is h11.NEED_DATA:
            if (event := self._protocol.next_event()) is h11.NEED_DATA:
                self._connection.settimeout(_left(self._deadline))
                self._receive()
        return event

    def _receive(self) -> None:
        if self._bytes_left <= 0:
            raise ConnectionError("the answer's head is too long")
        data = self._connection.recv(min(_BODY_BYTES, self._bytes_left))
        self._bytes_left -= len(data)
        self._protocol.receive_data(data)

    def body(self) -> str:
        """How the body begins; what goes wrong with it does not matter any more."""
        self._deadline = min(self._deadline, time.monotonic() + _BODY_SECONDS)
        found = b""
        try:
            while len(found) < _BODY_BYTES and isinstance(event := self.next_event(), h11.Data):
                found += event.data
        except (OSError, h11.ProtocolError):
            pass
        return shown(found[:_BODY_BYTES].decode(errors="replace"))[:KEPT_CHARACTERS]


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError once there are none."""
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _retry_after(response: h11.Response) -> float | None:
    """The header Retry-After, seconds or a date, in seconds: a day at most."""
    given = dict(response.headers).get(b"retry-after", b"").decode("latin-1").strip()
    if given.isascii() and given.isdigit():
        return min(float(given), _LONGEST_RETRY_AFTER)
    try:
        return min(max(0.0, parsedate_to_datetime(given).timestamp() - time.time()), _LONGEST_RETRY_AFTER)
    except (ValueError, OverflowError):
        return None
