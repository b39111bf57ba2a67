"""The pure parts of run.py: choosing cases, dealing them out, merging results, comparing them.

Knows nothing about the suite itself: no case is run here, `make autobahn` does that.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.autobahn import run
from tests.autobahn.run import Outcome

CASES = ["9.1.6", "10.1.1", "1.1.1", "12.1.3", "12.1.13", "12.2.3", "12.2.4", "13.7.11"]
GOOD = Outcome("OK", "OK")


def entry(behavior: str = "OK", close: str = "OK", duration: int = 0) -> run.Detail:
    return {"behavior": behavior, "behaviorClose": close, "duration": duration}


def everything(patterns: list[str]) -> list[str]:
    return run.select(CASES, patterns, deflate=True, quick=False)


# -- Choosing ---------------------------------------------------------------------------------


def test_cases_are_sorted_by_number_not_by_text() -> None:
    assert everything(["10.*", "9.*", "1.*"]) == ["1.1.1", "9.1.6", "10.1.1"]


@pytest.mark.parametrize(
    ("pattern", "cases"),
    [
        ("*", sorted(CASES, key=run.case_key)),
        ("1.*", ["1.1.1"]),
        ("12.1.*", ["12.1.3", "12.1.13"]),
        ("12.*.3", ["12.1.3", "12.2.3"]),
        ("12.2.4", ["12.2.4"]),
    ],
)
def test_a_star_stands_for_one_number_and_at_the_end_for_all(
    pattern: str, cases: list[str]
) -> None:
    assert everything([pattern]) == cases


@pytest.mark.parametrize("pattern", ["8.*", "12.1", "12.1.3.*.1", "1.1.1x", ""])
def test_a_pattern_that_fits_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no case fits"):
        everything(["1.*", pattern])


def test_without_deflate_no_case_of_permessage_deflate_is_left() -> None:
    chosen = run.select(CASES, ["*"], deflate=False, quick=False)
    assert chosen == ["1.1.1", "9.1.6", "10.1.1"]


def test_quick_leaves_a_sample_of_permessage_deflate() -> None:
    chosen = run.select(CASES, ["*"], deflate=True, quick=True)
    assert chosen == ["1.1.1", "9.1.6", "10.1.1", "12.1.3", "12.2.3", "12.2.4", "13.7.11"]


def plan(*arguments: str) -> list[tuple[str, list[str]]]:
    runs = run.plan(CASES, run.parse_arguments(arguments))
    return [(one.name, list(one.cases)) for one in runs]


def test_both_roles_run_the_same_cases() -> None:
    cases = ["1.1.1", "9.1.6", "10.1.1"]
    assert plan("--no-deflate") == [("server", cases), ("client", cases)]


def test_category_12_runs_again_without_the_offer_to_forget() -> None:
    chosen = ("--role", "server", "--cases", "12.*,1.*")
    assert plan(*chosen) == [
        ("server", ["1.1.1", "12.1.3", "12.1.13", "12.2.3", "12.2.4"]),
        ("server-takeover", ["12.1.3", "12.1.13", "12.2.3", "12.2.4"]),
    ]
    assert plan(*chosen, "--quick")[1] == ("server-takeover", ["12.1.3", "12.2.3", "12.2.4"])


@pytest.mark.parametrize("less", [("--quick",), ("--cases", "1.*"), ("--url", "ws://a")])
def test_only_everything_is_published(less: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        plan("--publish", *less)


def test_context_takeover_alone_runs_category_12() -> None:
    assert plan("--context-takeover") == [
        ("server-takeover", ["12.1.3", "12.1.13", "12.2.3", "12.2.4"])
    ]


def test_another_server_is_tested_as_server_only_and_never_expected() -> None:
    names = [name for name, _ in plan("--url", "ws://127.0.0.1:9001", "--no-deflate")]
    assert names == ["server"]
    with pytest.raises(SystemExit):
        plan("--url", "ws://127.0.0.1:9001", "--update-expected")


# -- Dealing and merging ----------------------------------------------------------------------


def test_dealing_goes_to_and_fro() -> None:
    assert run.deal(["a", "b", "c", "d", "e"], 2) == [["a", "d", "e"], ["b", "c"]]


def test_no_shard_is_empty() -> None:
    assert run.deal(["a", "b"], 3) == [["a"], ["b"]]


def test_merging_keeps_every_case_in_order() -> None:
    shards = [
        {"rfc6455": {"9.1.1": entry(), "10.1.1": entry()}},
        {"rfc6455": {"1.1.1": entry("FAILED")}},
    ]
    merged = run.merge(shards)
    assert list(merged["rfc6455"]) == ["1.1.1", "9.1.1", "10.1.1"]
    assert run.outcomes(merged["rfc6455"])["1.1.1"] == Outcome("FAILED", "OK")


def test_merging_refuses_two_verdicts_on_one_case() -> None:
    shard = {"rfc6455": {"1.1.1": entry()}}
    with pytest.raises(ValueError, match=r"reported twice: 1\.1\.1"):
        run.merge([shard, shard])


# -- Comparing --------------------------------------------------------------------------------


def test_equal_results_do_not_differ() -> None:
    results = {"1.1.1": GOOD, "7.1.6": Outcome("INFORMATIONAL", "INFORMATIONAL")}
    assert run.differences(results, dict(results), ["1.1.1", "7.1.6"]) == {}


@pytest.mark.parametrize(
    "planted",
    [
        Outcome("NON-STRICT", "OK"),
        Outcome("FAILED", "OK"),
        Outcome("UNIMPLEMENTED", "OK"),
        Outcome("OK", "WRONG CODE"),
        Outcome("OK", "UNCLEAN"),
    ],
)
def test_a_planted_difference_is_found(planted: Outcome) -> None:
    expected = {"1.1.1": GOOD, "1.1.2": GOOD}
    found = {"1.1.1": GOOD, "1.1.2": planted}
    assert run.differences(expected, found, ["1.1.1", "1.1.2"]) == {
        "1.1.2": f"{planted}; expected OK, close OK"
    }


def test_a_better_result_than_expected_is_a_difference() -> None:
    expected = {"3.2": Outcome("NON-STRICT", "OK")}
    assert "3.2" in run.differences(expected, {"3.2": GOOD}, ["3.2"])


def test_a_missing_result_is_a_difference() -> None:
    assert run.differences({"1.1.1": GOOD}, {}, ["1.1.1"]) == {"1.1.1": "no result"}


def test_a_result_that_nobody_expects_is_a_difference() -> None:
    assert "1.1.1" in run.differences({}, {"1.1.1": GOOD}, ["1.1.1"])


def test_cases_that_were_not_chosen_are_not_compared() -> None:
    expected = {"1.1.1": GOOD, "9.1.1": GOOD}
    assert run.differences(expected, {"1.1.1": GOOD}, ["1.1.1"]) == {}


def test_expectations_survive_writing_and_are_sorted() -> None:
    expected = {"10.1.1": GOOD, "9.1.1": Outcome("OK", "INFORMATIONAL")}
    text = run.write_expected(expected)
    assert text == '{\n  "9.1.1": ["OK", "INFORMATIONAL"],\n  "10.1.1": ["OK", "OK"]\n}\n'
    assert run.read_expected(text) == expected


@pytest.mark.parametrize("role", run.ROLES)
def test_all_517_cases_are_expected_to_be_ok_but_for_three_that_only_inform(role: str) -> None:
    text = run.Run(role, []).expected.read_text()
    expected = run.read_expected(text)
    informational = Outcome("INFORMATIONAL", "INFORMATIONAL")
    assert text == run.write_expected(expected)
    assert len(expected) == 517
    assert {case: outcome for case, outcome in expected.items() if outcome != GOOD} == {
        "7.1.6": informational,
        "7.13.1": informational,
        "7.13.2": informational,
    }


# -- Telling ----------------------------------------------------------------------------------


def test_the_table_counts_verdicts_by_category() -> None:
    text = run.table(
        {
            "9.1.1": entry(duration=1500),
            "9.1.2": entry("FAILED", "WRONG CODE", duration=250),
            "10.1.1": entry("NON-STRICT"),
        }
    )
    head, limits, miscellaneous, total = text.splitlines()
    assert head.split() == [
        *("category", "cases", "OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"),
        *("bad", "close", "seconds"),
    ]
    assert limits.split()[-8:] == ["2", "1", "0", "0", "0", "1", "1", "1.8"]
    assert miscellaneous.split()[-8:] == ["1", "0", "1", "0", "0", "0", "0", "0.0"]
    assert total.split()[-8:] == ["3", "1", "1", "0", "0", "1", "1", "1.8"]


def response(*lines: str) -> dict[str, Any]:
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", *lines]
    return {"httpResponse": "\r\n".join(head) + "\r\n\r\n"}


@pytest.mark.parametrize(
    ("lines", "client", "server"),
    [
        ([], False, False),
        (["Sec-WebSocket-Extensions: permessage-deflate"], True, True),
        (["sec-websocket-extensions: permessage-deflate; server_max_window_bits=9"], True, True),
        (
            ["Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"],
            False,
            True,
        ),
        (
            ["Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover", "X: y"],
            True,
            False,
        ),
    ],
)
def test_context_takeover_is_read_from_the_handshake(
    lines: list[str], client: bool, server: bool
) -> None:
    extension = run.negotiated(response(*lines))
    assert run.takes_over(extension, "client") is client
    assert run.takes_over(extension, "server") is server
    assert (run.lacking_takeover({"12.1.1": extension}) == {}) is (client and server)


def test_the_wire_log_tells_the_handshake_frames_octets_and_timers() -> None:
    detail = {
        "httpRequest": "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        "httpResponse": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "wirelog": [
            ["TF", [2, "Hi"], 1, True, 0, None, None, None, False],
            ["TO", [4, "81024869"], False],
            ["KL", 1],
            ["RF", [2, "0x03e8"], 8, True, 0, False, None],
        ],
        "droppedByMe": False,
    }
    assert run.wire_log(detail).splitlines() == [
        "GET / HTTP/1.1",
        "Upgrade: websocket",
        "HTTP/1.1 101 Switching Protocols",
        "TF   frame opcode=1 fin=True rsv=0 2 octets: Hi",
        "TO   4 octets: 81024869",
        "KL   1",
        "RF   frame opcode=8 fin=True rsv=0 2 octets: 0x03e8",
        "TCP dropped by us",
    ]
