"""The seam: both of its functions are the ones that `implementation` names."""

from __future__ import annotations

from rfc6455 import codec, frames, parser


def test_python() -> None:
    assert codec.implementation == "python"
    assert codec.Decoder is parser.Decoder
    assert codec.encode is frames.encode
