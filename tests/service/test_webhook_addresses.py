"""Where webhooks may be sent: what is not public, or only looks so, is refused unless the operator names it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from wdist_service.webhooks.addresses import RefusedAddressError, check_address, is_public, resolve, target_of

_NOT_PUBLIC = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
    224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
    64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:808:808::
    3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 2606:4700::1111%eth0 fec0::1 ff02::1
"""
_PUBLIC = "1.1.1.1 8.8.8.8 93.184.215.14 172.32.0.1 2606:4700:4700::1111 2a00:1450:4001:81b::200e 64:ff9b::808:808"
_REFUSED = """
    http://example.org/ ftp://example.org/ file:///etc/passwd https:///path https:// example.org https://user@example.org
    https://user:pass@example.org https://@example.org https://example.org/#part https://example.org/#
    https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f000001/ https://0177.0.0.1/ https://0x7f.1/
    https://example.org.0x7f/ https://[::1]/ https://[::ffff:127.0.0.1]/ https://[fe80::1%25eth0]/ https://169.254.169.254/
    https://exämple.org/ https://example.org\\@127.0.0.1/ https://-x.org/ https://a..b/ https://example.org:0/
    https://example.org:22/ https://example.org:25/ https://example.org:80/ https://example.org:6000/
    https://example.org:99999/ https://example.org:x/ https://[1.1.1.1]/ https://%31%32%37.0.0.1/
    javascript:alert(1) //example.org/ https:example.org
"""
_ALLOWED = """
    https://example.org https://example.org/hooks?token=1&x=%20 https://EXAMPLE.org:8443/a https://example.org./
    https://1.1.1.1/ https://[2606:4700:4700::1111]/ https://xn--exmple-cua.org/ https://a_b.example.org/
"""


@pytest.mark.parametrize("address", _NOT_PUBLIC.split())
def test_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", _PUBLIC.split())
def test_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url", [*_REFUSED.split(), "https://example.org/a b", "https://example.org/\n", "https://a.org\t/"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(RefusedAddressError):
        target_of(url, [])


@pytest.mark.parametrize("url", _ALLOWED.split())
def test_urls_that_are_allowed(url: str) -> None:
    target = target_of(url, [])
    assert target.is_tls
    assert target.host in url.lower()


def test_the_parts_of_a_url() -> None:
    target = target_of("https://[2606:4700:4700::1111]:8443/a?b=c", [])
    assert (target.authority, target.path) == ("[2606:4700:4700::1111]:8443", "/a?b=c")
    assert target_of("https://Example.org", []).authority == "example.org"


def test_a_name_is_refused_for_what_it_resolves_to() -> None:
    target = target_of("https://localhost/", [])
    with pytest.raises(RefusedAddressError, match="not a public address"):
        resolve(target, [], 5)


def test_private_networks_are_allowed_one_by_one() -> None:
    private = [ip_network("10.1.0.0/16"), ip_network("127.0.0.0/8")]
    assert target_of("http://10.1.2.3:22/", private).port == 22
    assert resolve(target_of("http://localhost:9/", private), private, 5) == [ip_address("127.0.0.1")]
    for url in ("https://10.2.0.1/", "http://1.1.1.1/", "https://[::1]/", "https://[::ffff:10.1.2.3]/"):
        with pytest.raises(RefusedAddressError):
            target_of(url, private)
    # Of a name, it is only known later whether it is public: then neither http nor any other port is allowed.
    for url in ("http://example.org/", "https://example.org:22/"):
        target = target_of(url, private)
        check_address(target, ip_address("10.1.2.3"), private)
        with pytest.raises(RefusedAddressError):
            check_address(target, ip_address("1.1.1.1"), private)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(OSError, match=r"nowhere\.invalid cannot be resolved"):
        resolve(target_of("https://nowhere.invalid/", []), [], 10)
