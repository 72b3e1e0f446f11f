"""Buckets of S3 and of what speaks it: how one is reached, and what it means where that fails.

What obstore says names requests, retries and Rust's own types. Whoever reads it wants to know whether it is the address,
the credentials or the server, and which setting to look at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from modelwright.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_SETTINGS: Final = "[objects] in modelwright.toml"
_ASKED: Final = re.compile(r"https?://[^/\s,\"]+")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_SYSTEM: Final = re.compile(r'message: "([^"]+)"|error: "([^"]+)"')
_METADATA: Final = "169.254."  # where a machine of Amazon's asks for its role, when no credentials were given
_CREDENTIALS: Final = f"See access_key_id, secret_access_key, session_token of {_SETTINGS}, or the environment (AWS_...)."
_ABOUT: Final = {  # codes of S3: what they mean, and what to do
    "NoSuchBucket": ("there is no such bucket", "Make the bucket, or name another."),
    "RequestTimeTooSkewed": ("this machine's clock differs from the server's", "Set the clock of this machine."),
    "ExpiredToken": ("the credentials have expired", f"Get new ones. {_CREDENTIALS}"),
    "InvalidAccessKeyId": ("the server does not know this access key", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", _CREDENTIALS),
    "InvalidToken": ("the session token is not accepted", _CREDENTIALS),
}


class S3Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a bucket. What is None is found the way AWS tools find it: environment, then instance role."""

    endpoint: str | None = None  # of a server other than Amazon's: http://127.0.0.1:9000
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    allow_http: bool = False  # an endpoint without TLS
    timeout: str = "60s"  # for one request
    retries: int = 5  # of a request that failed in a way that may pass


def bucket(address: str, s3: S3Settings) -> ObjectStore:
    """The store at `s3://bucket/prefix`; `Invalid` where the address or a setting cannot be meant. Nothing is asked yet."""
    from datetime import timedelta

    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    name, prefix = urlsplit(address).netloc, urlsplit(address).path.strip("/")
    if not name:
        raise Invalid(f"{address!r} names no bucket.", mend="Write s3://bucket or s3://bucket/prefix.")
    _check(s3)
    config = {"endpoint": s3.endpoint, "region": s3.region, "access_key_id": s3.access_key_id}
    config |= {"secret_access_key": s3.secret_access_key, "session_token": s3.session_token}
    try:
        return S3Store(
            name,
            prefix=prefix or None,
            config={key: value for key, value in config.items() if value is not None},  # type: ignore[arg-type]
            client_options={"allow_http": s3.allow_http, "timeout": s3.timeout},
            retry_config={"max_retries": s3.retries, "retry_timeout": timedelta(seconds=60)},
        )
    except BaseError as error:
        raise Invalid(f"{address} cannot be reached so: {_said(error)}.", mend=f"Look at {_SETTINGS}.") from None


def _check(s3: S3Settings) -> None:
    """Refuse what obstore would take, and fail over at the first request or later."""
    if s3.endpoint is not None:
        parts = urlsplit(s3.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(
                f"{s3.endpoint!r} is no endpoint of a server.",
                mend=f'Write endpoint = "https://host:port" in {_SETTINGS}, or leave it out for Amazon\'s own.',
            )
        if parts.scheme == "http" and not s3.allow_http:
            raise Invalid(
                f"The endpoint {s3.endpoint} is without TLS, which is not allowed.",
                mend=f"Write allow_http = true in {_SETTINGS}, or give an https:// address.",
            )


def unreachable(what: str, error: Exception) -> Unavailable:
    """What obstore's error means to whoever asked for `what` (a noun: "The objects at s3://bucket")."""
    why, mend = _meaning(str(error))
    return Unavailable(f"{what} cannot be reached: {why}.", mend=mend)


def no_bucket(error: Exception) -> bool:
    """Whether what is missing is the bucket, and not only an object in it."""
    return "NoSuchBucket" in str(error)


def _meaning(text: str) -> tuple[str, str]:
    asked, status, code = (pattern.search(text) for pattern in (_ASKED, _STATUS, _CODE))
    server = asked[0] if asked else "its server"
    if _METADATA in server:
        return "no credentials were found for it", f"Give them. {_CREDENTIALS}"
    if code and code[1] in _ABOUT:
        return _ABOUT[code[1]]
    number = status[1] if status else ""
    if number in ("401", "403"):
        said = f" ({code[1]})" if code else ""
        return f"{server} does not allow that with these credentials{said}", (
            f"{_CREDENTIALS} They must be allowed to list the bucket, and to get, put and delete objects in it."
        )
    if number.startswith("5") or number == "429":
        return f"{server} answers with an error of its own ({number}{f', {code[1]}' if code else ''})", "Try again later."
    if "Received redirect" in text:
        return f"{server} says that the bucket is in another region", f"Set region in {_SETTINGS}."
    if "kind: Timeout" in text or "TimedOut" in text:
        return f"{server} did not answer in time", f"Try again, or raise timeout in {_SETTINGS}."
    if "kind: Connect" in text:
        known = _SYSTEM.search(text)
        return f"nothing answers at {server}{f' ({known[1] or known[2]})' if known else ''}", (
            f"See that it runs and can be reached from here, and whether endpoint of {_SETTINGS} is right."
        )
    if "HTTP error" in text:
        return f"{server} broke the connection off", f"Try again. Settings are those of {_SETTINGS}."
    return _said(text), f"Try again. Settings are those of {_SETTINGS}."


def _said(error: Exception | str) -> str:
    """The first line of what obstore says, without what it says first each time."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"^(Generic \w+ error: )+", "", line).rstrip(". ")[:300]
