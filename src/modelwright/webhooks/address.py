"""Where a webhook may point: https, to an address of the public internet, and to that very one.

A server that fetches what it is told to can be made to reach what only it can reach: its own ports, the machines beside
it, a cloud's metadata. So a name is resolved, every address of it must be public, and the connection goes to the address
that was looked at: a name that means another one a moment later gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from modelwright.core.errors import Invalid

MAX_URL = 2000
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-.]*[A-Za-z0-9_])?\.?")
_INSIDE = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".localdomain")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What `ipaddress` counts, in one version or another, as public and a cloud keeps its metadata on, or nobody should reach.
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "100.64.0.0/10", "168.63.129.16/32", "0.0.0.0/8")
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]


class Target(NamedTuple):
    """Where to connect, and what to call it there."""

    scheme: str
    host: str  # as it is named
    port: int
    address: str  # as it was resolved
    path: str  # with the query

    @property
    def url(self) -> str:
        """The URL with the address in place of the name."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def authority(self) -> str:
        """The name, with the port where it is not the scheme's own: what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _port_of(self.scheme) else f"{host}:{self.port}"


def check_form(url: str, allowed: Collection[str]) -> SplitResult:
    """Raise `Invalid` for a URL that no resolving could make good; `allowed` are hosts that may be inside, and http."""
    if len(url) > MAX_URL or any(ord(character) <= 32 or ord(character) > 126 for character in url) or "\\" in url:
        raise Invalid("The URL of a webhook is plain text without spaces, of at most 2000 characters.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Invalid(f"{url!r} is not a URL: {error}.") from None
    if parts.username is not None or parts.password is not None:
        raise Invalid("The URL of a webhook holds no user and no password.", mend="Give a secret: deliveries are signed.")
    if parts.fragment or not host or port == 0:
        raise Invalid(f"{url!r} is not a URL that can be posted to.", mend="Write https://host/path.")
    if is_allowed(host, port, allowed):
        if parts.scheme not in ("http", "https"):
            raise Invalid(f"{parts.scheme!r} is not a scheme for webhooks.", mend="Use https.")
        return parts
    if parts.scheme != "https":
        raise Invalid(
            f"A webhook's URL begins with https, not {parts.scheme!r}.",
            mend="A host that may be reached over http is named in [webhooks] hosts of modelwright.toml.",
        )
    literal = _literal(host)
    if literal is not None:
        _check_public(host, literal)
    elif not _may_be_public(host):
        raise _inside(host)
    return parts


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name; none where it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def aim(url: str, allowed: Collection[str], *, resolving: Resolve = resolve) -> Target:
    """Where to connect; `Invalid` where that is not allowed, `OSError` where the name means nothing."""
    parts = check_form(url, allowed)
    host = parts.hostname or ""
    port = parts.port or _port_of(parts.scheme)
    addresses = resolving(host, port)
    if not addresses:
        raise OSError(f"{host} has no address")
    if not is_allowed(host, parts.port, allowed):
        for text in addresses:  # all of them: which one is taken must not be the attacker's choice
            _check_public(host, ipaddress.ip_address(text.partition("%")[0]))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port, address=addresses[0], path=path)


def is_allowed(host: str, port: int | None, allowed: Collection[str]) -> bool:
    """Whether a host is one that the settings name, with or without a port."""
    host = host.lower().rstrip(".")
    return host in allowed or f"{host}:{port}" in allowed


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, seen through the forms that hide an IPv4 address in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if hidden is None and address in _NAT64:
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if hidden is not None:
            return False  # nobody names a public receiver so
    elif any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def _check_public(host: str, address: Address) -> None:
    if not is_public(address):
        raise _inside(host)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _may_be_public(name: str) -> bool:
    """Whether a name is not plainly one of a network inside."""
    if not _HOST.fullmatch(name) or "." not in name.rstrip(".") or _looks_numeric(name):
        return False
    return not ("." + name.lower().rstrip(".")).endswith(_INSIDE)


def _looks_numeric(host: str) -> bool:
    """Whether a host is an address in one of the old forms: one number, hexadecimal, octal, with parts left out."""
    return all(re.fullmatch(r"0[xX][0-9a-fA-F]*|\d+", part) for part in host.rstrip(".").split("."))


def _port_of(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _inside(host: str) -> Invalid:
    return Invalid(
        f"A webhook cannot point at {host[:100]}: it is not an address of the public internet.",
        mend="A host inside is named in [webhooks] hosts of modelwright.toml.",
    )
