"""Messages have the size that a benchmark asks for, and contents worth compressing."""

from __future__ import annotations

import json
import zlib

import pytest

from bench.messages import messages


@pytest.mark.parametrize("size", [1, 8, 63, 64, 65, 128, 1000, 1024, 64 * 1024])
def test_sizes_are_exact_and_contents_differ(size: int) -> None:
    found = messages(size, count=4)
    assert [len(text.encode()) for text in found] == [size] * 4
    assert len(set(found)) > 1
    assert not any("\n" in text for text in found)
    assert found == messages(size, count=4)


@pytest.mark.parametrize("size", [64, 128, 1024])
def test_they_are_json_that_compresses_as_json_does(size: int) -> None:
    for text in messages(size, count=16):
        assert isinstance(json.loads(text), dict)
    assert 0.1 < len(zlib.compress(messages(16 * 1024)[0].encode())) / (16 * 1024) < 0.5


def test_there_are_about_a_megabyte_of_them() -> None:
    assert len(messages(8)) == 1024
    assert len(messages(64 * 1024)) == 16
    assert len(messages(1024 * 1024)) == 4


def test_no_message_has_no_bytes() -> None:
    with pytest.raises(ValueError, match="at least one byte, not 0"):
        messages(0)
