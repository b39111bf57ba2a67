"""The stock of masking keys. That each frame takes one is tested with the connection."""

from __future__ import annotations

import os

import pytest

from rfc6455 import masking
from rfc6455.masking import BATCH, new_masking_key
from tests.helpers import run_python


@pytest.fixture(autouse=True)
def _empty_stock() -> None:
    masking._stock.clear()


def test_keys_come_from_the_operating_system_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []
    urandom = os.urandom

    def recorded(size: int) -> bytes:
        drawn.append(urandom(size))
        return drawn[-1]

    monkeypatch.setattr("os.urandom", recorded)
    keys = [new_masking_key() for _ in range(2 * BATCH)]
    assert [len(octets) for octets in drawn] == [4 * BATCH, 4 * BATCH]
    octets = b"".join(drawn)
    assert sorted(keys) == sorted(octets[i : i + 4] for i in range(0, len(octets), 4))


def test_key_is_four_bytes() -> None:
    assert {len(new_masking_key()) for _ in range(BATCH + 1)} == {4}


FORK = """
import os
from rfc6455.masking import BATCH, new_masking_key
from tests.helpers import run_python

new_masking_key()
reader, writer = os.pipe()
child = os.fork()
keys = b"".join(new_masking_key() for _ in range(BATCH - 1))
if child == 0:
    os.write(writer, keys)
    os._exit(0)
os.close(writer)
print(keys.hex(), os.fdopen(reader, "rb").read().hex())
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_child_does_not_repeat_the_keys_of_its_parent() -> None:
    parent, child = map(bytes.fromhex, run_python(FORK).split())
    assert len(parent) == len(child) == 4 * (BATCH - 1)
    keys = [{octets[i : i + 4] for i in range(0, len(octets), 4)} for octets in (parent, child)]
    # By chance one pair in 2 ** 16 would be equal: never most of them.
    assert len(keys[0] & keys[1]) < 3
