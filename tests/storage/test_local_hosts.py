from __future__ import annotations

import pytest

from stacchip.storage.local_hosts import is_local_address, is_local_host, is_local_href

LOCAL = [
    "127.0.0.1", "127.255.255.254", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1",
    "017700000001", "0", "0.0.0.0", "[::1]", "::1", "0:0:0:0:0:0:0:1", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
    "[fe80::1]", "[fe80::1%25eth0]", "[FE80::1%eth0]", "169.254.169.254", "2852039166",
    "0xa9.0xfe.0xa9.0xfe", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fd00:ec2::23]",
    "[fd20:ce::254]", "[fd00:c1::a9fe:a9fe]", "168.63.129.16", "[64:ff9b:1::a9fe:a9fe]",
    "[64:ff9b:1:ffff::127.0.0.1]", "[64:ff9b:1:a9fe:a9:fe00::]", "[64:ff9b:1:0:a9:fea9:fe00:0]",
    "[64:ff9b:1:a9:fe:a9fe::]",
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.localhost.",
    "localhost.localdomain", "ip6-localhost", "%6cocalhost", "metadata.google.internal.",
    "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "\u2460\u2461\u2466.0.0.1",
]  # fmt: skip
ELSEWHERE = [
    "example.com", "127.0.0.1.example.com", "localhost.example.com", "notlocalhost", "128.0.0.1",
    "10.0.0.1", "192.168.0.1", "93.184.216.34", "[2606:2800:220:1::1]", "[::ffff:93.184.216.34]",
    "[64:ff9b::5db8:d822]", "[64:ff9b:1::5db8:d822]", "[fd20:ce::255]",
    "126.255.255.255", "", "127.0.0.256", "1.2.3.4.5", "127.0.0.1 a",
    "x" * 10_000, "\udc80", "9" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
def test_every_spelling_of_this_machine_is_local(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_other_hosts_are_not_local(host: str) -> None:
    assert not is_local_host(host)


def test_the_host_of_an_address_is_the_one_that_is_connected_to() -> None:
    assert is_local_href("http://example.com@127.0.0.1/a.tif")
    assert is_local_href("https://example.com:80@[::1]:8000/a.tif")
    assert is_local_href("HTTP://LOCALHOST/a.tif")
    assert is_local_href("/vsicurl/http://127.1/a.tif")
    assert not is_local_href("http://127.0.0.1@example.com/a.tif")
    assert not is_local_href("http://example.com/127.0.0.1")
    assert not is_local_href("http://[not-an-address/")
    assert not is_local_href("s3://127.0.0.1/a.tif")
    assert not is_local_href("/data/127.0.0.1")


def test_an_address_that_a_name_resolves_to_is_judged_like_a_host() -> None:
    assert is_local_address("127.0.1.1")
    assert is_local_address("fe80::2%lo")
    assert not is_local_address("192.168.1.7")
