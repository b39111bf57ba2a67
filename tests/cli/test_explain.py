"""``rfc6455 explain``: the examples of the RFC, and everything that can be wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rfc6455.frames import Opcode, encode
from tests.cli.support import CONSOLE, ROOT, Shown, command, command_here, listing
from tests.helpers import KEY

GOLDEN = list(listing((Path(__file__).parent / "explain.txt").read_text("utf-8")))
PAGE = (ROOT / "docs" / "howto" / "command-line.md").read_text("utf-8")
ON_PAGE = [
    shown
    for block in CONSOLE.findall(PAGE)
    for shown in listing(block)
    if shown.arguments[0] == "explain"
]


@pytest.mark.parametrize("shown", GOLDEN + ON_PAGE, ids=lambda shown: " ".join(shown.arguments))
def test_explanation_is_the_printed_one(shown: Shown) -> None:
    done = command_here(*shown.arguments)
    assert done.out == shown.output
    assert done.err == ""


def test_the_command_prints_the_same() -> None:
    for shown in ON_PAGE[:2]:
        done = command(*shown.arguments)
        assert (done.out, done.err) == (shown.output, "")


def test_every_example_of_s5_7_is_among_them() -> None:
    explained = {"".join(shown.arguments[1:]) for shown in GOLDEN}
    assert explained >= {
        "810548656c6c6f",
        "818537fa213d7f9f4d5158",
        "010348656c80026c6f",
        "890548656c6c6f",
        "8a8537fa213d7f9f4d5158",
    }


@pytest.mark.parametrize(
    "written",
    [
        "810548656c6c6f",
        "81 05 48 65 6c 6c 6f",
        "81:05:48:65:6C:6C:6F",
        "0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f",
        r"\x81\x05\x48\x65\x6c\x6c\x6f",
        "8105 4865\n6c6c 6f\n",
    ],
)
def test_octets_are_read_as_listings_write_them(written: str, tmp_path: Path) -> None:
    expected = command_here("explain", "810548656c6c6f")
    assert expected.status == 0
    path = tmp_path / "frame.txt"
    path.write_text(written, "utf-8")
    assert command_here("explain", written) == expected
    assert command_here("explain", stdin=written) == expected
    assert command_here("explain", "--file", "-", stdin=written) == expected
    assert command_here("explain", "--file", str(path)) == expected


def test_octets_are_read_as_they_are() -> None:
    data = bytes.fromhex("810548656c6c6f")
    assert command("explain", "--raw", stdin=data) == command("explain", data.hex())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["81 0"], "'0' has an odd number of digits; an octet has two"),
        (["81 0g"], "'g' in '0g' is no hexadecimal digit"),
        (["81 \x1b[2J"], r"'\x1b' in '\x1b[2J' is no hexadecimal digit"),
        (["81 \u0665\u0665"], r"'\u0665' in '\u0665\u0665' is no hexadecimal digit"),
        ([""], "no bytes to explain"),
        (["--file", "/nowhere"], "[Errno 2] No such file or directory: '/nowhere'"),
        (["81", "--raw"], "bytes come from arguments or from a file, not from both"),
    ],
)
def test_what_is_not_hexadecimal_is_refused(arguments: list[str], reason: str) -> None:
    assert command_here("explain", *arguments) == (2, "", f"rfc6455 explain: {reason}\n")


@pytest.mark.parametrize(
    ("octets", "fault", "code"),
    [
        ("83 80 00 00 00 00", "unknown opcode 0x3 (RFC 6455 §5.2)", 1002),
        ("91 00", "reserved bit set without an extension that defines it (RFC 6455 §5.2)", 1002),
        ("09 00", "fragmented control frame (RFC 6455 §5.5)", 1002),
        ("89 7e 00 7e", "control frame payload is longer than 125 bytes (RFC 6455 §5.5)", 1002),
        ("82 7e 00 7d", "payload length is not in its shortest form (RFC 6455 §5.2)", 1002),
        (
            "82 7f ff 00 00 00 00 00 00 00",
            "most significant bit of the 64-bit length is set (RFC 6455 §5.2)",
            1002,
        ),
        ("80 00", "continuation frame without a message to continue (RFC 6455 §5.4)", 1002),
        ("01 00 81 00", "new message inside a fragmented message (RFC 6455 §5.4)", 1002),
        ("81 02 c3 28", "text message is not valid UTF-8 (RFC 6455 §8.1)", 1007),
        ("88 01 03", "a Close payload of one byte has no room for a code (RFC 6455 §7.4)", 1002),
        ("88 02 03 ed", "close code 1005 must not travel (RFC 6455 §7.4)", 1002),
        ("88 04 03 e8 c3 28", "close reason is not valid UTF-8 (RFC 6455 §8.1)", 1007),
    ],
)
def test_faults_come_with_section_and_close_code(octets: str, fault: str, code: int) -> None:
    done = command_here("explain", octets)
    assert done.status == 1
    assert f"  fault: {fault}\n  The connection fails with close code {code}, " in done.out


@pytest.mark.parametrize(
    ("sender", "octets", "fault"),
    [
        ("client", "81 00", "frame is not masked"),
        ("server", "81 80 00 00 00 00", "frame is masked"),
    ],
)
def test_sender_decides_whether_frames_are_masked(sender: str, octets: str, fault: str) -> None:
    done = command_here("explain", "--from", sender, octets)
    assert done.status == 1
    assert f"  fault: {fault} (RFC 6455 §5.1)\n" in done.out
    assert command_here("explain", octets).status == 0


def test_nothing_behind_a_fault_is_explained() -> None:
    done = command_here("explain", "83 00 81 00")
    assert done.out.count("opcode") == 2
    assert "Nothing behind it has a meaning: 3 more bytes are not shown." in done.out


@pytest.mark.parametrize(
    ("octets", "missing"),
    [
        ("81", "the rest of the header missing"),
        ("82 7e 01", "the rest of the header missing"),
        ("81 85 37 fa", "the rest of the header missing"),
        ("81 05 48", "4 bytes missing"),
        ("81 05 48 65 6c 6c", "1 byte missing"),
    ],
)
def test_what_is_cut_off_is_told(octets: str, missing: str) -> None:
    done = command_here("explain", octets)
    assert done.status == 1
    assert done.out.endswith(f"  cut off here: {missing}\n")


def test_messages_on_both_sides_are_told_apart_by_their_masks() -> None:
    client = encode(Opcode.TEXT, b"a", fin=False, masking_key=KEY)
    server = encode(Opcode.TEXT, b"b")
    end = encode(Opcode.CONTINUATION, b"c", masking_key=KEY)
    done = command_here("explain", (client + server + end).hex())
    assert done.status == 0
    assert re.findall(r'text message of .*?: "(\w+)"', done.out) == ["b", "ac"]


def test_compressed_messages_share_their_context() -> None:
    # RFC 7692 §7.2.3.2: the second message refers to the first.
    done = command_here("explain", "--deflate", "c107f248cdc9c90700 c105f200110000")
    assert done.status == 0
    assert done.out.count('"Hello"') == 2


def test_inflated_garbage_is_1007() -> None:
    done = command_here("explain", "--deflate", "c1 02 ff ff")
    assert done.status == 1
    assert "close code 1007" in done.out


def test_text_of_a_peer_cannot_steer_the_terminal() -> None:
    text = "\x1b[2J\u202egnp\\".encode()
    done = command_here(
        "explain", encode(Opcode.TEXT, text).hex(), encode(Opcode.CLOSE, b"\x03\xe8\x1b[2J").hex()
    )
    assert done.status == 0
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert r'"\x1b[2J\u202egnp\\"' in done.out


def test_long_payloads_are_shown_in_part() -> None:
    octets = encode(Opcode.BINARY, bytes(1000)).hex()
    done = command_here("explain", "--show", "16", octets)
    assert done.status == 0
    assert done.out.count("|........|") == 2
    assert "and 984 bytes more" in done.out
    assert "It completes a binary message of 1000 bytes" in done.out


@pytest.mark.parametrize(
    ("choice", "coloured"), [("always", True), ("never", False), ("auto", False)]
)
def test_colours_are_chosen(choice: str, coloured: bool) -> None:
    assert ("\x1b[" in command_here("explain", "--color", choice, "8100").out) is coloured
