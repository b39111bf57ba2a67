"""A message for many: sent like the message itself, encoded and compressed once for all."""

from __future__ import annotations

from typing import Any

import pytest

from rfc6455.connection import Connection, Role
from rfc6455.errors import ConnectionClosed, UsageError
from rfc6455.extensions import PermessageDeflate
from rfc6455.frames import Opcode
from rfc6455.prepared import PreparedMessage
from tests.deflate import inflate, installed_libraries
from tests.helpers import CLIENT, SERVER, both_roles, frames_in
from tests.negotiation import open_pair
from tests.unit.test_connection import Reverse


@both_roles
@pytest.mark.parametrize("message", ["", "é" * 100, b"", bytes(70_000)], ids=len)
def test_a_prepared_message_is_sent_like_the_message(role: Role, message: str | bytes) -> None:
    prepared = PreparedMessage(message)
    assert prepared.message == message
    assert len(prepared) == len(message.encode() if isinstance(message, str) else message)
    connections = [Connection(role) for _ in range(2)]
    for connection in connections:
        connection.send(prepared)
        connection.send(message)
        first, second = frames_in(connection.data_to_send())
        assert first == second


def test_a_servers_frame_is_made_once_and_a_clients_each_time() -> None:
    prepared = PreparedMessage("Hello")
    servers = [Connection(SERVER), Connection(SERVER)]
    clients = [Connection(CLIENT), Connection(CLIENT)]
    for connection in (*servers, *clients):
        connection.send(prepared)
    first, second = (connection.data_to_send() for connection in servers)
    assert first is second
    first, second = (connection.data_to_send() for connection in clients)
    assert first != second


def test_what_was_given_may_change_afterwards() -> None:
    data = bytearray(b"Hello")
    prepared = PreparedMessage(data)
    data[:] = b"_____"
    connection = Connection(SERVER)
    connection.send(prepared)
    assert frames_in(connection.data_to_send())[0].payload == b"Hello"


def test_what_cannot_be_a_message_is_refused_when_it_is_prepared() -> None:
    with pytest.raises(TypeError, match="str or bytes, not list"):
        PreparedMessage(["a"])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="surrogates"):
        PreparedMessage("\ud800")


def test_a_prepared_message_in_the_middle_of_another_ends_it_as_any_message_would() -> None:
    connection = Connection(SERVER)
    connection.send_text("a", final=False)
    connection.send(PreparedMessage("b"))
    assert [f.opcode for f in frames_in(connection.data_to_send())] == [
        Opcode.TEXT,
        Opcode.CONTINUATION,
    ]


@both_roles
def test_nothing_prepared_is_sent_after_our_close(role: Role) -> None:
    connection = Connection(role)
    connection.close()
    with pytest.raises(ConnectionClosed):
        connection.send(PreparedMessage("a"))


# Compression


def texts(seed: int) -> str:
    return " ".join(f"word{(seed * i * i) % 97}" for i in range(400))


@pytest.mark.parametrize("library", installed_libraries(), ids=lambda library: library.__name__)
@pytest.mark.parametrize("takeover", [True, False])
def test_a_message_is_compressed_once_for_all_that_are_alike(library: Any, takeover: bool) -> None:
    def extension(bits: int) -> PermessageDeflate:
        return PermessageDeflate(window_bits=bits, context_takeover=takeover, library=library)

    pairs = [
        open_pair(client=[PermessageDeflate(peer_window_bits=15)], server=[extension(bits)])
        for bits in (12, 12, 15)
    ]
    for round_ in range(3):
        own = texts(round_ + 2)
        for pair in pairs:
            pair.server.send(own)
            assert pair.client.receive_data(pair.server.data_to_send()) == [own]
        prepared = PreparedMessage(texts(round_ + 50))
        sent = []
        for pair in pairs:
            pair.server.send(prepared)
            sent.append(pair.server.data_to_send())
            assert pair.client.receive_data(sent[-1]) == [prepared.message]
        assert sent[0] is sent[1]
        assert frames_in(sent[0])[0].rsv == 0x40
        assert len(sent[0]) < len(prepared)


def test_what_is_sent_after_a_shared_message_looks_back_at_nothing_before_it() -> None:
    pair = open_pair(client=[PermessageDeflate()], server=[PermessageDeflate(threshold=0)])
    pair.server.send(texts(3))
    pair.server.data_to_send()
    pair.server.send(PreparedMessage(texts(4)))
    pair.server.data_to_send()
    pair.server.send(texts(3))
    (frame,) = frames_in(pair.server.data_to_send())
    # On its own, without any history, it can be inflated.
    assert inflate(frame.payload + b"\x00\x00\xff\xff").data.decode() == texts(3)


@pytest.mark.parametrize(
    ("size", "compress", "rsv"),
    [
        (1023, None, 0),
        (1024, None, 0x40),
        (10, True, 0x40),
        (5000, False, 0),
    ],
)
def test_whether_a_prepared_message_is_compressed(
    size: int, compress: bool | None, rsv: int
) -> None:
    pair = open_pair(client=[PermessageDeflate()], server=[PermessageDeflate()])
    pair.server.send(PreparedMessage(bytes(size)), compress=compress)
    (frame,) = frames_in(pair.server.data_to_send())
    assert frame.rsv == rsv


@pytest.mark.parametrize("extensions", [[Reverse(3)], [Reverse(3), Reverse(3)]], ids=len)
def test_extensions_that_share_nothing_transform_for_each(extensions: list[Reverse]) -> None:
    if len(extensions) == 2:
        extensions[1].rsv = 0x20
    connection = Connection(SERVER, extensions=extensions)
    connection.send(PreparedMessage(b"abc"))
    connection.send(PreparedMessage(b"ab"))
    first, second = frames_in(connection.data_to_send())
    assert (first.rsv, second.rsv) == (0x40 if len(extensions) == 1 else 0x60, 0)
    assert first.payload == (b"cba" if len(extensions) == 1 else b"abc")


def test_an_extension_that_shares_nothing_says_so() -> None:
    extension = Reverse(3)
    assert extension.share() is None
    with pytest.raises(NotImplementedError):
        extension.encode_shared(b"")
    with pytest.raises(NotImplementedError):
        extension.skip_shared()
