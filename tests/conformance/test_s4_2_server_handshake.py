"""RFC 6455 §4.2 to §4.4: which requests a server accepts, and what it answers."""

from __future__ import annotations

from typing import Any

import h11
import pytest

from rfc6455.errors import HandshakeError, UsageError
from rfc6455.extensions import PermessageDeflate
from rfc6455.handshake import ServerHandshake, accept_key
from rfc6455.headers import Headers
from rfc6455.http import Response, error_response
from rfc6455.limits import Limits
from rfc6455.state import State
from tests.helpers import NONCE, OPENING, chunkings, head, opening


def answer(data: bytes, **options: Any) -> Headers:
    """The fields of the answer that accepts a request, however reads cut it.

    The answer is read by a client that knows nothing of us.
    """
    answers = []
    for chunks in chunkings(data):
        handshake = ServerHandshake(Limits())
        requests = [handshake.receive_data(chunk) for chunk in chunks]
        assert requests[:-1] == [None] * (len(chunks) - 1)
        assert requests[-1] is not None
        assert handshake.receive_data(b"trailing") is None
        assert handshake.trailing_data == b"trailing"
        response, _ = handshake.accept(**options)
        assert handshake.state is State.OPEN
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=OPENING))
        client.receive_data(response)
        event = client.next_event()
        assert isinstance(event, h11.InformationalResponse)
        assert event.status_code == 101
        assert client.trailing_data == (b"", False)
        fields = [(n.decode(), v.decode("latin-1")) for n, v in event.headers.raw_items()]
        answers.append([field for field in fields if field[0] != "Date"])
    assert all(other == answers[0] for other in answers)
    return Headers(answers[0])


def refusal(data: bytes) -> Response:
    """The answer that refuses a request, however reads cut it."""
    answers = []
    for chunks in chunkings(data):
        handshake = ServerHandshake(Limits())
        with pytest.raises(HandshakeError) as caught:
            open_with(handshake, chunks)
        response = error_response(caught.value)
        assert handshake.respond(response).startswith(b"HTTP/1.1 %d " % response.status)
        assert handshake.state is State.CLOSED
        answers.append(response)
    assert all(other == answers[0] for other in answers)
    return answers[0]


def open_with(handshake: ServerHandshake, chunks: list[bytes]) -> None:
    for chunk in chunks:
        handshake.receive_data(chunk)
    handshake.accept()


# 4.2.1: the request


@pytest.mark.clause("W060", "W071")
def test_s4_2_1_minimal_request_is_accepted() -> None:
    answer(opening())


@pytest.mark.clause("W060", "W061", "H020")
@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get", "FOO"])
def test_s4_2_1_method_other_than_get_is_405_with_allow(method: str) -> None:
    refused = refusal(opening(f"{method} / HTTP/1.1"))
    assert (refused.status, refused.headers["Allow"]) == (405, "GET")


@pytest.mark.clause("W060", "W061", "H014", "H016")
def test_s4_2_1_http_1_0_is_505() -> None:
    assert refusal(opening("GET / HTTP/1.0")).status == 505


@pytest.mark.clause("W060")
@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2"])
def test_s4_2_1_other_versions_of_http_are_505(version: str) -> None:
    assert refusal(opening(f"GET / {version}")).status == 505


@pytest.mark.clause("W061")
@pytest.mark.parametrize("target", ["/", "/chat?a=b", "http://a/chat", "HTTPS://a:8/"])
def test_s4_2_1_target_is_a_path_or_an_absolute_uri(target: str) -> None:
    answer(opening(f"GET {target} HTTP/1.1"))


@pytest.mark.clause("W060", "W061")
@pytest.mark.parametrize("target", ["*", "chat", "ws://a/chat", "/#a", "http:///", ""])
def test_s4_2_1_other_targets_are_400(target: str) -> None:
    assert refusal(opening(f"GET {target} HTTP/1.1")).status == 400


@pytest.mark.clause("W062", "H004")
@pytest.mark.parametrize("host", [None, ["a", "a"], "", "a b", "a/", "a:b", "@"])
def test_s4_2_1_host_is_required(host: Any) -> None:
    assert refusal(opening(host=host)).status == 400


@pytest.mark.clause("W063", "W003", party="server")
@pytest.mark.parametrize(
    "value",
    ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket,", "a/1, Websocket"],
)
def test_s4_2_1_upgrade_includes_websocket(value: str) -> None:
    answer(opening(upgrade=value))


@pytest.mark.clause("W060", "W063", "W003", party="server")
@pytest.mark.parametrize(
    "value",
    [None, "", "h2c", "websocketx", "xwebsocket", "websocket/13", "web socket", "websoc\u212aet"],
)
def test_s4_2_1_no_upgrade_to_websocket_is_426_with_upgrade(value: str | None) -> None:
    if value is not None:
        value = value.encode().decode("latin-1")
    refused = refusal(opening(upgrade=value))
    assert (refused.status, refused.headers["Upgrade"]) == (426, "websocket")
    assert "Upgrade" in refused.headers["Connection"]


@pytest.mark.clause("W060")
def test_s4_2_1_upgrade_stands_once() -> None:
    assert refusal(opening(upgrade=["websocket", "websocket"])).status == 400


@pytest.mark.clause("W064", "H013", "H021")
@pytest.mark.parametrize(
    "value",
    [
        "Upgrade",
        "upgrade",
        "UPGRADE",
        "keep-alive, Upgrade",
        ["keep-alive", "Upgrade"],
        ", upgrade ,",
    ],
)
def test_s4_2_1_connection_includes_the_token_upgrade(value: Any) -> None:
    answer(opening(connection=value))


@pytest.mark.clause("W060", "W064", "H013", "H021")
@pytest.mark.parametrize(
    "value",
    [None, "", "close", "keep-alive", "notupgrade", "upgradex", "keep-alive, notupgrade", "a b"],
)
def test_s4_2_1_connection_without_the_token_upgrade_is_400(value: str | None) -> None:
    assert refusal(opening(connection=value)).status == 400


@pytest.mark.clause("W065", "W077", "W096")
@pytest.mark.parametrize(
    "key",
    [
        NONCE,
        "AQIDBAUGBwgJCgsMDQ4PEC==",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        f"  {NONCE}\t",
        "/" * 22 + "==",
    ],
)
def test_s4_2_1_key_is_sixteen_bytes_in_base64(key: str) -> None:
    fields = answer(opening(sec_websocket_key=key))
    assert fields["Sec-WebSocket-Accept"] == accept_key(
        key.replace(" ", "").replace("\t", "").encode()
    )


@pytest.mark.clause("W060", "W065", "W096")
@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "====",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZWE=",
        "dGhlIHNhbXBsZSBub25jZWFh",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZS-ub25jZQ==",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "!GhlIHNhbXBsZSBub25jZQ==",
    ],
)
def test_s4_2_1_any_other_key_is_400(key: str | None) -> None:
    assert refusal(opening(sec_websocket_key=key)).status == 400


@pytest.mark.clause("W247", party="server")
def test_s11_3_1_key_stands_at_most_once() -> None:
    assert refusal(opening(sec_websocket_key=[NONCE, NONCE])).status == 400


@pytest.mark.clause("W060", "W066")
def test_s4_2_1_version_is_required() -> None:
    assert refusal(opening(sec_websocket_version=None)).status == 400


@pytest.mark.clause("W066", "W078", "W079", "W098", "W253", "H015")
@pytest.mark.parametrize("version", ["0", "8", "12", "14", "255", "013", "13.0", "x", "", "13, 8"])
def test_s4_4_unknown_version_is_426_with_the_versions_that_would_do(version: str) -> None:
    refused = refusal(opening(sec_websocket_version=version))
    assert (refused.status, refused.headers["Sec-WebSocket-Version"]) == (426, "13")
    assert refused.headers["Upgrade"] == "websocket"


@pytest.mark.clause("W254", party="server")
def test_s11_3_5_version_stands_at_most_once() -> None:
    assert refusal(opening(sec_websocket_version=["13", "13"])).status == 400


@pytest.mark.clause("W060", "W230")
def test_s4_2_1_origin_stands_at_most_once() -> None:
    answer(opening(origin="http://a.example"))
    assert refusal(opening(origin=["http://a.example", "http://b.example"])).status == 400


@pytest.mark.clause("W057", "W070")
def test_s4_2_1_order_case_and_unknown_fields_mean_nothing() -> None:
    fields = [("X-Unknown", "\xe9"), *OPENING, ("Cookie", "a=b"), ("Cookie", "c=d")]
    expected = answer(opening())
    assert answer(head("GET / HTTP/1.1", *reversed(fields))) == expected
    for change in (str.lower, str.upper):
        changed = [(change(name), value) for name, value in fields]
        assert answer(head("GET / HTTP/1.1", *changed)) == expected


# 4.2.2: the answer


@pytest.mark.clause("W086", "W087", "W088", "W089", "H015", "H017")
def test_s4_2_2_answer_switches_protocols() -> None:
    fields = answer(opening())
    assert fields["Upgrade"] == "websocket"
    assert fields["Connection"] == "Upgrade"
    assert "Content-Length" not in fields
    assert "Transfer-Encoding" not in fields


@pytest.mark.clause("W090")
def test_s4_2_2_accept_of_the_rfcs_example() -> None:
    fields = answer(opening(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ=="))
    assert fields["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.clause("W068", "W081", "W083", "W091", "W251", party="server")
def test_s4_2_2_subprotocol_is_one_that_was_offered() -> None:
    for offer in ("a, b", ["a", "b"], "b", "a,b,c"):
        fields = answer(opening(sec_websocket_protocol=offer), subprotocol="b")
        assert fields.get_all("Sec-WebSocket-Protocol") == ["b"]


@pytest.mark.clause("W081", "W083")
@pytest.mark.parametrize("choice", ["c", "", "A", "a, b"])
def test_s4_2_2_subprotocol_that_was_not_offered_is_never_sent(choice: str) -> None:
    handshake = ServerHandshake(Limits())
    handshake.receive_data(opening(sec_websocket_protocol="a, b"))
    with pytest.raises(UsageError):
        handshake.accept(subprotocol=choice)
    assert handshake.state is State.CONNECTING


@pytest.mark.clause("W082")
def test_s4_2_2_no_field_without_a_subprotocol() -> None:
    assert "Sec-WebSocket-Protocol" not in answer(opening(sec_websocket_protocol="a"))
    assert "Sec-WebSocket-Protocol" not in answer(opening())


@pytest.mark.clause("W060", "W068")
@pytest.mark.parametrize(
    "offer", ["", "a,,b", "a,", "a b", "a/b", "a, a", ["a", "a"], "\xe9", "(a)"]
)
def test_s4_2_1_malformed_subprotocols_are_400(offer: Any) -> None:
    assert refusal(opening(sec_websocket_protocol=offer)).status == 400


@pytest.mark.clause("W069", "W084", "W092", "W220", "W248", party="server")
@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "x-unknown, permessage-deflate; server_no_context_takeover",
        ["x-unknown; a=b", "permessage-deflate"],
    ],
)
def test_s4_2_2_extensions_are_chosen_from_the_offers(offer: Any) -> None:
    request = opening(sec_websocket_extensions=offer)
    (value,) = answer(request, extensions=[PermessageDeflate()]).get_all("Sec-WebSocket-Extensions")
    assert value.startswith("permessage-deflate")
    assert "x-unknown" not in value


@pytest.mark.clause("W085", "W221", "W164", party="server")
def test_s4_2_2_no_extension_that_was_not_offered() -> None:
    for request in (opening(), opening(sec_websocket_extensions="x-unknown")):
        fields = answer(request, extensions=[PermessageDeflate()])
        assert "Sec-WebSocket-Extensions" not in fields


@pytest.mark.clause("W220", party="server")
def test_s4_2_2_extensions_may_all_be_declined() -> None:
    request = opening(sec_websocket_extensions="permessage-deflate")
    assert "Sec-WebSocket-Extensions" not in answer(request)


@pytest.mark.clause("W073", "W074", "W080", "W243")
@pytest.mark.parametrize(
    ("status", "field"),
    [
        (401, ("WWW-Authenticate", "Basic")),
        (302, ("Location", "https://a.example/")),
        (403, ("X", "y")),
        (404, ("X", "y")),
    ],
)
def test_s4_2_2_server_may_answer_with_any_status_of_http(
    status: int, field: tuple[str, str]
) -> None:
    handshake = ServerHandshake(Limits())
    assert handshake.receive_data(opening()) is not None
    data = handshake.respond(Response(status, Headers([field]), b"body"))
    assert data.startswith(b"HTTP/1.1 %d " % status)
    assert f"\r\n{field[0]}: {field[1]}\r\n".encode() in data
    assert data.endswith(b"\r\n\r\nbody")
    assert handshake.state is State.CLOSED


# 4.3 and 9.1: the grammar of extensions


@pytest.mark.clause("W094", "W224", party="server")
@pytest.mark.parametrize(
    "offer",
    [
        "foo",
        'foo; bar; baz="qux"',
        ["foo", "bar; baz=2"],
        "mux; max-channels=4; flow-control, deflate-stream",
        "private-extension",
    ],
)
def test_s9_1_well_formed_offers(offer: Any) -> None:
    answer(opening(sec_websocket_extensions=offer))


@pytest.mark.clause("W093", "W094", "W223", "W060", party="server")
@pytest.mark.parametrize(
    "offer",
    ["", ",", "a,", "a;", "a;=b", "a;b=", 'a;b="', 'a;b=""', 'a;b="c d"', "a b", "a;b=c d", "\xe9"],
)
def test_s9_1_malformed_offers_are_400(offer: str) -> None:
    assert refusal(opening(sec_websocket_extensions=offer)).status == 400


@pytest.mark.clause("W093", party="server")
def test_s9_1_quoted_value_is_a_token_once_unescaped() -> None:
    for value in ("8", '"8"', r'"\8"'):
        offer = f"permessage-deflate; server_max_window_bits={value}"
        fields = answer(opening(sec_websocket_extensions=offer), extensions=[PermessageDeflate()])
        assert "server_max_window_bits=8" in fields["Sec-WebSocket-Extensions"]
