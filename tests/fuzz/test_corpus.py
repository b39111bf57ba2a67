"""Every input that the fuzzer starts from, and every one that it kept, keeps its promise.

No fuzzer runs here. An input that once failed stays in `fuzz/corpus` for good.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fuzz.targets import CORPUS, TARGETS, Target
from fuzz.targets import differential as differential_target

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


def inputs(target: Target) -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield from target.seeds().items()
    for path in target.corpus():
        yield path.name, path.read_bytes()


@each_target
def test_seeds_and_corpus_keep_the_promise(target: Target) -> None:
    check = target.check()
    for name, data in inputs(target):
        try:
            check(data)
        except Exception as error:
            error.add_note(f"{target.name}, input {name!r}: {data!r}")
            raise


@each_target
def test_prefixes_of_seeds_keep_the_promise(target: Target) -> None:
    check = target.check()
    for name, data in target.seeds().items():
        for size in range(0, min(len(data), target.max_len), 1 + len(data) // 24):
            try:
                check(data[:size])
            except Exception as error:
                error.add_note(f"{target.name}, {size} octets of {name!r}: {data[:size]!r}")
                raise


@each_target
def test_seeds_differ(target: Target) -> None:
    seeds = target.seeds()
    assert len(set(seeds.values())) > 0.85 * len(seeds)


def test_corpus_has_no_folder_without_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


def test_every_reason_to_differ_from_a_peer_is_met_by_a_seed() -> None:
    """A reason that nothing meets would excuse what nobody has seen."""
    differential_target.disagreements.clear()
    for data in differential_target.seeds().values():
        differential_target.check(data)
    reasons = {
        f"{name}: {reason}"
        for name, (_, reasons) in differential_target.PEERS.items()
        for reason in reasons
    }
    assert set(differential_target.disagreements) == reasons
