"""JSON Web Tokens: what makes one good, and every way in which one is not (hazard D3)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.tokens import Identity, Key, Role, TokenError, Tokens, read_jwks, secret_key

NOW = 1_800_000_000.0
SECRET = "a secret of more than thirty-two bytes"
ISSUER = "https://login.example"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CLAIMS: dict[str, Any] = {"sub": "Ann", "exp": NOW + 60, "iss": ISSUER, "aud": "chat"}


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def tokens(*keys: Key, **options: Any) -> Tokens:
    given: dict[str, Any] = {"issuer": ISSUER, "audience": "chat", "clock": Clock()} | options
    return Tokens(keys or [secret_key(SECRET)], **given)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: bytes, headers: dict[str, Any] | None = None, secret: str = SECRET) -> str:
    """A token for HS256 with any payload, good or not."""
    return jwt.PyJWS().encode(payload, secret.encode(), "HS256", headers)


def token(**changes: Any) -> str:
    """A good token, but for some claims; those that are None are missing."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return signed(json.dumps(claims).encode())


def refused(token: str, by: Tokens | None = None) -> str:
    with pytest.raises(TokenError) as caught:
        (by or tokens()).verify(token)
    return caught.value.reason


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    keys = [
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key()))
        | {"kid": "rsa", "alg": "RS256", "use": "sig"},
        json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY.public_key())) | {"kid": "ec"},
    ]
    path.write_text(json.dumps({"keys": keys}))
    return path


# Good ones


def test_a_good_token_says_who_somebody_is() -> None:
    claims = {"role": "moderator", "iat": NOW, "sid": "s1"}
    assert tokens().verify(token(**claims)) == Identity(
        "Ann", Role.MODERATOR, NOW + 60, issued=NOW, session="s1"
    )
    assert tokens().verify(token(jti="j1")) == Identity("Ann", Role.USER, NOW + 60, session="j1")


def test_what_is_issued_is_accepted_until_it_expires() -> None:
    clock = Clock()
    ours = tokens(lifetime=900, clock=clock)
    identity = ours.verify(issued := ours.issue("Ann", Role.ADMIN))
    assert (identity.name, identity.role, identity.expires) == ("Ann", Role.ADMIN, NOW + 900)
    assert identity.session
    clock.now += 900 + 29
    assert ours.verify(issued) == identity
    clock.now += 1
    assert refused(issued, ours) == "expired"


def test_a_set_of_keys_has_one_algorithm_for_each(jwks: Path) -> None:
    ours = tokens(*read_jwks(jwks))
    signers: list[tuple[Any, str, str]] = [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec")]
    for key, algorithm, kid in signers:
        good = jwt.encode(CLAIMS, key, algorithm, {"kid": kid})
        assert ours.verify(good).name == "Ann"
        other = {"rsa": "ec", "ec": "rsa"}[kid]
        assert refused(jwt.encode(CLAIMS, key, algorithm, {"kid": other}), ours) == "header"
        assert refused(jwt.encode(CLAIMS, key, algorithm), ours) == "key"
    pss = jwt.encode(CLAIMS, RSA_KEY, "PS256", {"kid": "rsa"})
    assert refused(pss, ours) == "header"


def test_a_secret_and_a_set_of_keys_stand_side_by_side(jwks: Path) -> None:
    ours = tokens(secret_key(SECRET), *read_jwks(jwks))
    assert ours.verify(token()).name == "Ann"
    assert ours.verify(jwt.encode(CLAIMS, EC_KEY, "ES256", {"kid": "ec"})).name == "Ann"
    assert ours.verify(ours.issue("Bob", Role.USER)).name == "Bob"


# Algorithms and headers


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "AA"])
def test_no_algorithm(algorithm: str, signature: str) -> None:
    head = b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    forged = f"{head}.{b64(json.dumps(CLAIMS).encode())}.{signature}"
    assert refused(forged) == ("header" if signature else "malformed")


def test_a_public_key_is_no_secret(jwks: Path) -> None:
    import hashlib
    import hmac

    head = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa"}).encode())
    text = f"{head}.{b64(json.dumps(CLAIMS).encode())}"
    digest = hmac.new(RSA_PEM, text.encode(), hashlib.sha256).digest()
    assert refused(f"{text}.{b64(digest)}", tokens(*read_jwks(jwks))) == "header"
    with pytest.raises(ValueError, match="PEM"):
        secret_key(RSA_PEM.decode())


def test_a_short_secret_is_none() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        secret_key("short")


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "http://evil.example/k", 7, []])
def test_a_key_is_looked_up_and_never_fetched(kid: Any, jwks: Path) -> None:
    head = b64(json.dumps({"alg": "RS256", "kid": kid}).encode())
    forged = f"{head}.{b64(json.dumps(CLAIMS).encode())}.AA"
    expected = "key" if isinstance(kid, str) else "header"
    assert refused(forged, tokens(*read_jwks(jwks))) == expected


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": []},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"crit": ["x"], "x": 1},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_headers_that_bring_keys_or_change_what_is_signed(header: dict[str, Any]) -> None:
    head = b64(json.dumps({"alg": "HS256"} | header).encode())
    assert refused(f"{head}.{b64(json.dumps(CLAIMS).encode())}.AA") == "header"


# Spelling


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good[:-1],
        lambda good: good + "=",
        lambda good: good.replace(".", "..", 1),
        lambda good: good + ".AAAA",
        lambda good: good + "\n",
        lambda good: " " + good,
        lambda good: good.replace(".", ".!", 1),
        lambda good: good[: good.rindex(".") + 1],
        lambda good: "ä" + good[1:],
        lambda good: "x" * 5000,
        lambda good: "x" * 2**20,
        lambda good: "",
        lambda good: "a.b.c.d.e",
    ],
)
def test_other_spellings(spoil: Any) -> None:
    good = signed(json.dumps(CLAIMS).encode())
    assert tokens().verify(good).name == "Ann"
    assert refused(spoil(good)) in ("malformed", "signature")


def test_a_signature_has_one_spelling() -> None:
    good = token()
    last = good[-1]
    # 32 bytes leave two bits of the last character without meaning.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(last) ^ 1]
    assert refused(good[:-1] + twin) == "malformed"


@pytest.mark.parametrize("other", ["another secret of more than 32 bytes!", SECRET[:-1] + "t"])
def test_another_secret(other: str) -> None:
    assert refused(signed(json.dumps(CLAIMS).encode(), secret=other)) == "signature"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{",
        b'{"sub": "Ann", "exp": NaN}',
        b'{"sub": "Ann", "exp": Infinity}',
        b'{"sub": "Ann", "exp": 1800000060, "exp": 9999999999}',
        b'{"sub": "Bob", "sub": "Ann", "exp": 1800000060}',
        b'{"sub": "Ann", "exp": ' + b"9" * 100_0 + b"}",
        b'{"a":' * 500 + b"1" + b"}" * 500,
    ],
    ids=lambda payload: payload[:40],
)
def test_payloads_that_two_readers_read_differently(payload: bytes) -> None:
    assert refused(signed(payload)) in ("malformed", "claims")


# Claims


@pytest.mark.parametrize("exp", [None, "1800000060", True, [], {}])
def test_when_it_expires_is_a_number(exp: Any) -> None:
    assert refused(token(exp=exp)) == "claims"
    raw = b'{"sub": "Ann", "exp": 1e999}'
    assert refused(signed(raw)) == "claims"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW - 30}, "expired"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": -1}, "expired"),
        ({"nbf": NOW + 31}, "not_yet"),
        ({"iat": NOW + 3600}, "not_yet"),
        ({"nbf": "now"}, "claims"),
        ({"iss": None}, "issuer"),
        ({"iss": ISSUER[:-1]}, "issuer"),
        ({"iss": f"{ISSUER}.evil.example"}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"aud": None}, "audience"),
        ({"aud": "chatter"}, "audience"),
        ({"aud": "cha"}, "audience"),
        ({"aud": ["chat"]}, "audience"),
        ({"sub": None}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": 7}, "claims"),
        ({"sub": "a\u202eb"}, "claims"),
        ({"role": "root"}, "claims"),
        ({"role": "ADMIN"}, "claims"),
        ({"role": 3}, "claims"),
        ({"sid": 3}, "claims"),
    ],
)
def test_claims_that_do_not_hold(claims: dict[str, Any], reason: str) -> None:
    assert refused(token(**claims)) == reason


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 30}])
def test_clocks_may_differ_by_half_a_minute(claims: dict[str, Any]) -> None:
    assert tokens().verify(token(**claims)).name == "Ann"


# Files of keys


@pytest.mark.parametrize(
    "table",
    [
        [],
        {},
        {"keys": []},
        {"keys": ["x"]},
        {"keys": [{"kty": "oct", "k": "AA", "alg": "HS256"}]},
        {"keys": [{"kty": "RSA", "alg": "PS256", "n": "AQAB", "e": "AQAB"}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "RSA", "kid": 7}]},
        {"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY))]},
        {"keys": 2 * [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key()))]},
        {"keys": [{"use": "enc", "kty": "RSA"}]},
    ],
    ids=lambda table: json.dumps(table)[:30],
)
def test_a_set_that_is_none_is_refused(table: Any, tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"\w"):
        read_jwks(path)
