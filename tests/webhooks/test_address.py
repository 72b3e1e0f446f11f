"""Where a webhook may point: the attacks of SEC-06, each on the form of the URL and on what a name resolves to."""

from __future__ import annotations

import ipaddress

import pytest

from modelwright.core.errors import Invalid
from modelwright.webhooks.address import aim, check_form, is_public

INSIDE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.7", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1",
    "::",    "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused_as_it_stands_and_as_what_a_name_means(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Invalid, match="public internet"):
        check_form(f"https://{host}/hook", ())
    with pytest.raises(Invalid, match="public internet"):
        aim("https://hooks.example.com/", (), resolving=lambda host, port: [address])
    with pytest.raises(Invalid, match="public internet"):  # one bad address among good ones
        aim("https://hooks.example.com/", (), resolving=lambda host, port: ["8.8.8.8", address])


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://app.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://database/",
        "https://[::ffff:7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https:///path",
        "https://",
        "//hooks.example.com/",
        "hooks.example.com",
        "",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nHost: x",
        "https://h\u00f6oks.example.com/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://-.example.com-/",
        "https://hooks.example.com/" + "a" * 2000,
    ],
)
def test_what_is_no_address_of_the_public_internet_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        check_form(url, ())


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    asked = []

    def resolving(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["8.8.8.8"] if len(asked) == 1 else ["127.0.0.1"]  # a name that means something else a moment later

    target = aim("https://hooks.example.com:8443/a/b?c=d", (), resolving=resolving)
    assert asked == [("hooks.example.com", 8443)]
    assert target.url == "https://8.8.8.8:8443/a/b?c=d"
    assert target.authority == "hooks.example.com:8443"
    assert (
        aim("https://hooks.example.com", (), resolving=lambda h, p: ["2606:4700::1"]).url == "https://[2606:4700::1]:443/"
    )


def test_a_host_that_the_settings_name_may_lie_inside() -> None:
    inside = lambda host, port: ["127.0.0.1"]  # noqa: E731
    assert aim("http://localhost:8099/x", {"localhost:8099"}, resolving=inside).url == "http://127.0.0.1:8099/x"
    assert aim("http://hooks.lan/x", {"hooks.lan"}, resolving=inside).url == "http://127.0.0.1:80/x"
    with pytest.raises(Invalid):
        aim("http://localhost:8098/x", {"localhost:8099"}, resolving=inside)
    with pytest.raises(Invalid, match="scheme"):
        aim("ftp://localhost:8099/x", {"localhost:8099"}, resolving=inside)


def test_a_name_without_an_address_is_no_refusal() -> None:
    with pytest.raises(OSError, match="no address"):
        aim("https://hooks.example.com/", (), resolving=lambda host, port: [])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
