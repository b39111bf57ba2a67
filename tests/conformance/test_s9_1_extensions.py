"""RFC 6455 §9.1 and §11.3: extensions as a client sees them, and what an answer has once."""

from __future__ import annotations

import pytest

from rfc6455.errors import HandshakeError
from rfc6455.extensions import PermessageDeflate
from rfc6455.handshake import ClientHandshake, ServerHandshake, accept_key
from rfc6455.headers import Headers, parse_extensions
from rfc6455.limits import Limits
from rfc6455.uri import parse_uri
from tests.helpers import opening
from tests.negotiation import judge_answer

DEFLATE = [PermessageDeflate()]

# RFC 7692 §7.1 has these four, and no others.
PARAMETERS = {
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
}


@pytest.mark.clause("W222", "W225", "W226", party="client")
@pytest.mark.parametrize("takeover", [True, False])
def test_s9_1_offers_have_the_registered_name_and_defined_parameters(takeover: bool) -> None:
    extension = PermessageDeflate(context_takeover=takeover, peer_context_takeover=takeover)
    request = ClientHandshake(parse_uri("ws://a/"), extensions=[extension]).request_data()
    lines = [line.partition(b": ") for line in request.split(b"\r\n")]
    offers = parse_extensions([v for name, _, v in lines if name == b"Sec-WebSocket-Extensions"])
    assert {name for name, _ in offers} == {"permessage-deflate"}
    assert {parameter for _, offer in offers for parameter, _ in offer} <= PARAMETERS


@pytest.mark.clause("W222", "W226", party="client")
@pytest.mark.parametrize("parameter", ["x", "window_bits=9", "Server_max_window_bits=9"])
def test_s9_1_parameters_that_the_extension_does_not_define_are_refused(parameter: str) -> None:
    with pytest.raises(HandshakeError):
        judge_answer(f"permessage-deflate; {parameter}", extensions=DEFLATE)


@pytest.mark.clause("W093", party="client")
def test_s9_1_a_quoted_value_is_a_token_once_it_is_unescaped() -> None:
    assert judge_answer(r'permessage-deflate; server_max_window_bits="1\2"', extensions=DEFLATE)
    for value in ('"1 2"', '""', '"12', '"1,2"'):
        with pytest.raises(HandshakeError):
            judge_answer(f"permessage-deflate; server_max_window_bits={value}", extensions=DEFLATE)


@pytest.mark.clause("W249", "W250", "W252", party="server")
def test_s11_3_fields_that_an_answer_has_once() -> None:
    handshake = ServerHandshake(Limits())
    request = opening(
        sec_websocket_extensions=["permessage-deflate"] * 2, sec_websocket_protocol=["a", "b"]
    )
    assert handshake.receive_data(request) is not None
    answer, _ = handshake.accept(subprotocol="b", extensions=DEFLATE)
    fields = [line.partition(b":")[0].lower() for line in answer.split(b"\r\n")]
    for name in (b"extensions", b"accept", b"protocol"):
        assert fields.count(b"sec-websocket-" + name) == 1


def client_receives(line: bytes) -> Headers | None:
    """Gives a client an answer with one more line; returns its fields, or None if it is refused."""
    handshake = ClientHandshake(parse_uri("ws://a/"))
    request = handshake.request_data()
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    answer += b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n" + line + b"\r\n\r\n"
    try:
        response = handshake.receive_data(answer)
    except HandshakeError:
        return None
    assert response is not None
    return response.headers


@pytest.mark.clause("H008", party="client")
@pytest.mark.parametrize("name", [b"", b"a b", b"a\xe4", b'"a"', b"a(b)", b"a/b", b"a ", b" a"])
def test_names_of_fields_in_an_answer_are_tokens(name: bytes) -> None:
    assert client_receives(name + b": value") is None
    assert client_receives(b"a!#$%&'*+-.^_`|~0: value") is not None


@pytest.mark.clause("H009", party="client")
@pytest.mark.parametrize("octet", [b"\x00", b"\x01", b"\x0b", b"\x1b", b"\x7f", b"\r", b"\n"])
def test_values_of_fields_in_an_answer_have_no_control_characters(octet: bytes) -> None:
    assert client_receives(b"name: a" + octet + b"b") is None
    headers = client_receives(b"name: a\tb")
    assert headers is not None
    assert headers["name"] == "a\tb"
