"""RFC 6455 §5.3 and §10.3: masking."""

from __future__ import annotations

import itertools

import pytest

from rfc6455.connection import Connection
from rfc6455.frames import Opcode, apply_mask, decode_header, encode
from tests.helpers import CLIENT, KEY, SERVER, deliver, frames_in


def keys_of(connection: Connection) -> list[bytes | None]:
    data = connection.data_to_send()
    keys = []
    position = 0
    while position < len(data):
        header = decode_header(data, position)
        assert header is not None
        keys.append(header.masking_key)
        position += header.size + header.length
    return keys


@pytest.mark.clause("W123")
@pytest.mark.parametrize("length", [*range(9), 125, 126, 1001])
def test_s5_3_octet_i_is_xored_with_octet_i_mod_4_of_the_key(length: int) -> None:
    payload = bytes(i * 31 % 256 for i in range(length))
    masked = apply_mask(payload, KEY)
    assert list(masked) == [payload[i] ^ KEY[i % 4] for i in range(length)]
    assert apply_mask(masked, KEY) == payload


@pytest.mark.clause("W123", "W178", party="server")
@pytest.mark.parametrize("key", ["00000000", "ffffffff", "37fa213d", "000000ff", "81828485"])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 126, 127, 1000])
def test_s5_3_server_unmasks_with_any_key(key: str, length: int) -> None:
    payload = bytes(i * 7 % 256 for i in range(length))
    data = encode(Opcode.BINARY, payload, masking_key=bytes.fromhex(key))
    assert deliver(data, SERVER).events == [payload]


@pytest.mark.clause("W123", "W119", party="client")
def test_s5_3_what_a_client_masks_can_be_unmasked() -> None:
    connection = Connection(CLIENT)
    connection.send_text("Hello")
    data = connection.data_to_send()
    assert b"Hello" not in data
    assert [frame.payload for frame in frames_in(data)] == [b"Hello"]
    assert deliver(data, SERVER).events == ["Hello"]


@pytest.mark.clause("W120", "W122", "W233", party="client")
def test_s5_3_each_frame_has_a_new_key() -> None:
    connection = Connection(CLIENT)
    for i in range(300):
        connection.send_text("a", final=i % 2 == 1)
        connection.send_ping()
        connection.send_pong()
    connection.close()
    keys = keys_of(connection)
    assert len(keys) == 901
    # 901 keys out of 2 ** 32: two equal ones come in one run of ten thousand.
    assert len(set(keys)) >= 900
    # One key does not tell the next: no constant step between them.
    numbers = [int.from_bytes(key or b"", "big") for key in keys]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    assert len(steps) >= 890


@pytest.mark.clause("W121", "W122", "W233", party="client")
def test_s10_3_keys_are_those_of_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfc6455.masking._stock", [])
    monkeypatch.setattr("os.urandom", lambda size: bytes(i // 4 % 256 for i in range(size)))
    connection = Connection(CLIENT)
    for _ in range(256):
        connection.send_ping()
    assert sorted(key or b"" for key in keys_of(connection)) == [bytes([i] * 4) for i in range(256)]


@pytest.mark.clause("W234")
def test_s10_3_payload_cannot_change_once_it_is_sent() -> None:
    for role in (CLIENT, SERVER):
        connection = Connection(role)
        payload = bytearray(b"before")
        connection.send_binary(payload)
        connection.send_binary(memoryview(payload))
        payload[:] = b"after!"
        frames = frames_in(connection.data_to_send())
        assert [frame.payload for frame in frames] == [b"before", b"before"]
