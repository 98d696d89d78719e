"""Which hosts a tool may reach."""

from __future__ import annotations

import pytest

from parley.tools.private_hosts import is_listed, is_public

PRIVATE = """
127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 169.254.100.1 100.64.0.1
0.0.0.0 192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
:: ::1 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1 3fff::1 100::1
::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1
64:ff9b::a00:1 64:ff9b:1::127.0.0.1 2002:7f00:1:: 2001:0:7f00:1::1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_not_public_is_found_in_every_form(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_a_public_address_is_public_through_a_translator_too(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("listed", "host", "port", "lets_in"),
    [
        ("crm.internal", "CRM.internal", 443, True),
        ("crm.internal", "crm.internal.", 8080, True),
        ("crm.internal:8080", "crm.internal", 8080, True),
        ("crm.internal:8080", "crm.internal", 443, False),
        ("crm.internal", "evil-crm.internal", 443, False),
        ("crm.internal", "crm.internal.example.com", 443, False),
        ("[::1]:9000", "::1", 9000, True),
        ("", "", 443, True),
    ],
)
def test_a_listed_host_is_that_host_and_no_other(
    listed: str, host: str, port: int, lets_in: bool
) -> None:
    assert is_listed(host, port, [listed]) is lets_in
