from __future__ import annotations

import socket
import time

import pytest
from urllib3.exceptions import LocationParseError

from stacchip.errors import NotAllowed
from stacchip.storage.transports.host_lookup import look_up, refuse_local


def test_addresses_and_names_are_looked_up() -> None:
    until_s = time.monotonic() + 60
    assert look_up("127.0.0.1", 80, until_s) == ["127.0.0.1"]
    assert look_up("[::1]", 80, until_s) == ["::1"]
    assert look_up("0x7f.1", 80, until_s) == ["127.0.0.1"]
    assert "127.0.0.1" in look_up("localhost", 80, until_s)
    with pytest.raises(socket.gaierror):
        look_up("stacchip.invalid", 80, until_s)
    with pytest.raises(LocationParseError):
        look_up("a" * 64 + ".example", 80, until_s)


def test_a_name_may_not_hide_an_address_of_this_machine() -> None:
    for hidden in ("127.0.0.1", "169.254.169.254", "::1", "fe80::1"):
        with pytest.raises(NotAllowed, match="allow_local=True"):
            refuse_local("tiles.example.com", ["93.184.216.34", hidden])
    refuse_local("maps.example.com", ["93.184.216.34", "10.0.0.1"])
    refuse_local("localhost", ["127.0.0.1"])
    refuse_local("127.1", ["127.0.0.1"])


def test_a_named_host_may_be_this_machine_if_it_was_from_the_start() -> None:
    refuse_local("alias.example.com", ["127.0.1.1"], is_named=True)
    with pytest.raises(NotAllowed):
        refuse_local("alias.example.com", ["127.0.1.1"])
    refuse_local("turned.example.com", ["93.184.216.34"], is_named=True)
    with pytest.raises(NotAllowed):
        refuse_local("turned.example.com", ["127.0.1.1"], is_named=True)
