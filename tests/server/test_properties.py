"""Whatever comes in, what comes of it is among the results that are documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rfc6455 import Headers, Request
from server import protocol
from server.auth import COOKIE, Authority
from server.limits import Buckets, Rate, source_of
from server.names import check_name, name_key
from server.protocol import CommandError
from server.tokens import Identity, Role, TokenError, Tokens, secret_key

OURS = Tokens([secret_key("a secret of more than thirty-two bytes")])
AUTHORITY = Authority(OURS, allowed_origins=["https://a.example"], cookies=True)

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


def outcome(do: Callable[[], T], refusal: type[E]) -> T | E:
    """What is returned, or the refusal that is raised; any other error is a bug."""
    try:
        return do()
    except refusal as error:
        return error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
near_tokens = st.tuples(st.text(), st.text(), st.text()).map(".".join) | st.builds(
    lambda token, position, character: token[:position] + character + token[position + 1 :],
    st.just(OURS.issue("Ann", Role.USER)),
    st.integers(0, 400),
    st.characters(),
)


@given(st.text() | near_tokens)
@example("..")
@example("eyJhbGciOiJIUzI1NiJ9.e30.")
def test_a_token_is_accepted_or_refused_with_a_reason(token: str) -> None:
    found = outcome(lambda: OURS.verify(token), TokenError)
    if isinstance(found, TokenError):
        assert found.reason.isidentifier()
    else:
        # Nothing else than what was issued is accepted: spellings are unique.
        assert found.name == "Ann"


@given(json_values)
def test_claims_are_accepted_or_refused_with_a_reason(claims: object) -> None:
    payload = json.dumps(claims).encode()
    token = jwt.PyJWS().encode(payload, b"a secret of more than thirty-two bytes", "HS256")
    found = outcome(lambda: OURS.verify(token), TokenError)
    if isinstance(found, TokenError):
        assert found.reason.isidentifier()
    else:
        assert isinstance(claims, dict)
        assert found.expires is not None


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_a_message_is_a_command_or_refused_with_a_code(message: str | bytes) -> None:
    found = outcome(lambda: protocol.decode(message), CommandError)
    if isinstance(found, CommandError):
        assert found.code in {"bad_json", "bad_type", "bad_fields", "binary"}
        assert len(protocol.encode(protocol.refusal(found))) < 1000
    else:
        assert isinstance(found, protocol.Command)


field_values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])).map(str.strip)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Cookie", "Authorization", "Sec-WebSocket-Protocol", "Origin"]),
            field_values
            | field_values.map(lambda value: f"{COOKIE}={value}")
            | field_values.map(lambda value: f"Bearer {value}")
            | field_values.map(lambda value: f"bearer, {value}")
            | st.just("https://a.example"),
        ),
        max_size=4,
    ),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
)
def test_a_request_says_who_it_is_or_is_refused(fields: list[tuple[str, str]], query: str) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    headers = Headers.from_wire(lines.encode("latin-1"))
    request = Request("GET", f"/ws?{query}", "/ws", query, headers)
    found = outcome(lambda: AUTHORITY.from_request(request), TokenError)
    assert found is None or (isinstance(found, TokenError) and found.reason.isidentifier())


@given(st.text())
def test_names_that_are_allowed_stay_what_they_are(name: str) -> None:
    found = outcome(lambda: check_name(name), CommandError)
    if isinstance(found, CommandError):
        assert found.code in {"invalid_name", "too_long"}
    else:
        assert check_name(found) == found
        assert name_key(name_key(found)) == name_key(found)
        assert Identity(found, Role.USER).key == name_key(found)


@given(st.text() | st.ip_addresses().map(str))
def test_an_address_has_a_source_and_that_is_its_own(address: str) -> None:
    source = source_of(address)
    assert isinstance(source, str)
    if "/" not in source:
        assert source_of(source) == source


@given(
    st.floats(0.1, 100),
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(0.001, 50), st.floats(0, 10)), max_size=50),
)
def test_nobody_gets_more_than_the_burst_and_the_rate(
    per_second: float, burst: float, spending: list[tuple[float, float]]
) -> None:
    buckets = Buckets(Rate(per_second, burst))
    now, spent = 0.0, 0.0
    for cost, pause in spending:
        now += pause
        if buckets.wait("a", cost, now) == 0:
            buckets.spend("a", cost, now)
            spent += cost
    # What costs more than the bucket holds leaves a debt of at most one such cost.
    largest = max((cost for cost, _ in spending), default=0.0)
    assert spent <= burst + per_second * now + largest + 1e-6


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_what_its_name_says(role: Role) -> None:
    assert Role.named(role.name.lower()) is role
    with pytest.raises(ValueError, match="no role"):
        Role.named(role.name)
