"""Which addresses webhooks may be sent to: a server that fetches what it is told must not be led into its own network.

A URL is checked when it is registered. Its name is resolved before each request, once, and the connection goes to an
address that was checked: a name that resolves to something else a moment later changes nothing.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_FIRST_FREE_PORT = 1024
# Ports above it on which other protocols than HTTP listen; browsers refuse them, too (the "bad ports" of Fetch).
_OTHER_PROTOCOLS = frozenset({1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080})
_IRC = range(6665, 6670)
_NAT64 = ip_network("64:ff9b::/96")  # how a host without IPv4 reaches an address of IPv4, on its right
# Beside what Python's is_global knows. 168.63.129.16: Azure's host, with the metadata of virtual machines.
_NEVER_PUBLIC = tuple(
    ip_network(each)
    for each in ("0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
                 "224.0.0.0/3", "::/8", "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16",
                 "fc00::/7", "fe80::/9", "ff00::/8")
)  # fmt: skip


class RefusedAddressError(Exception):
    """A webhook may not be sent there; the message says why, in words."""


@dataclass(frozen=True)
class Target:
    """A URL, taken apart. `host` is a name in lower case, or an address without brackets."""

    is_tls: bool
    host: str
    port: int
    path: str  # with the query

    @property
    def authority(self) -> str:
        """The header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def target_of(url: str, private: Sequence[Network]) -> Target:
    """Take a URL apart and check all that can be known without resolving its name.

    private: networks that the operator allows although they are not public. Raises RefusedAddressError.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise RefusedAddressError("it has characters that no URL has; write names in punycode and paths in %-encoding")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise RefusedAddressError(f"it cannot be read: {error}") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise RefusedAddressError("it must be like https://example.org/hooks/wdist")
    is_tls = parts.scheme == "https"
    if not is_tls and not private:
        raise RefusedAddressError("it must begin with https://; WDIST_SERVER_WEBHOOK_PRIVATE allows http in networks")
    if "@" in parts.netloc:
        raise RefusedAddressError("it must have no user and no password; the signature proves who sends")
    if parts.fragment or "#" in url:
        raise RefusedAddressError("it must have no fragment (#...), which is never sent")
    port = port if port is not None else (443 if is_tls else 80)
    target = Target(is_tls, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    literal = _literal(host)
    if literal is not None:
        check_address(target, literal, private)
    elif not private:
        _check_port(target)
    return target


def check_address(target: Target, address: Address, private: Sequence[Network]) -> None:
    """Raise RefusedAddressError unless the target may be reached at this address."""
    if any(address in network for network in private):
        return
    if not is_public(address):
        raise RefusedAddressError(
            f"{address} is not a public address; WDIST_SERVER_WEBHOOK_PRIVATE names the networks that are allowed"
        )
    if not target.is_tls:
        raise RefusedAddressError(f"{address} is a public address, so the URL must begin with https://")
    _check_port(target)


def resolve(target: Target, private: Sequence[Network], seconds: float) -> list[Address]:
    """The addresses at which the target may be reached, of which there is at least one.

    Raises RefusedAddressError if there are others only, and OSError if the name has none or takes too long.
    """
    literal = _literal(target.host)
    found = [literal] if literal is not None else _looked_up(target.host, target.port, seconds)
    allowed, refusal = [], RefusedAddressError(f"{target.host} has no address")
    for address in found:
        try:
            check_address(target, address, private)
        except RefusedAddressError as error:
            refusal = error
        else:
            allowed.append(address)
    if not allowed:
        raise refusal
    return allowed


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public Internet. One of IPv6 that stands for one of IPv4 does not."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    in_refused = any(address in network for network in _NEVER_PUBLIC)
    return address.is_global and not address.is_multicast and not in_refused


def _literal(host: str) -> Address | None:
    """The address that the host is, None if it is a name. Raises RefusedAddressError for what may be either."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    labels = host.split(".")
    # Resolvers take 127.1, 0x7f000001 and 2130706433 for addresses: no name ends in a number.
    if not all(_NAME.fullmatch(label) for label in labels) or re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        raise RefusedAddressError(f"{host[:100]!r} is neither a name nor an address")
    return None


def _check_port(target: Target) -> None:
    port = target.port
    if port != (443 if target.is_tls else 80) and (port < _FIRST_FREE_PORT or port in _OTHER_PROTOCOLS or port in _IRC):
        raise RefusedAddressError(f"port {port} is not one for webhooks: use 443, or one from {_FIRST_FREE_PORT} on")


def _looked_up(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a name. Raises OSError. The resolver knows no limit of time, so a thread waits for it."""
    answers: list[list[Address] | OSError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.append(list(dict.fromkeys(ip_address(each[4][0]) for each in found)))
        except (OSError, UnicodeError, ValueError) as error:
            answers.append(error if isinstance(error, OSError) else OSError(str(error)))

    thread = threading.Thread(target=ask, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    if not answers:
        raise TimeoutError(f"the name {host} was not resolved within {seconds:.0f} s")
    if isinstance(answers[0], OSError):
        raise OSError(f"the name {host} cannot be resolved: {answers[0].strerror or answers[0]}")
    return answers[0]
