"""The targets: one module for each pure boundary of the core.

What lives here: their list. A target is a module that opens with its invariants and has a function
``check(data: bytes) -> None``, which returns when they hold for this input and raises when they do
not, and ``seeds() -> dict[str, bytes]``. None is imported here: a fuzzer instruments what a target
imports, as it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

__all__ = ["CORPUS", "TARGETS", "Target"]

CORPUS: Final = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """A target, before it is imported.

    Attributes:
        name: of its module, and of its folder in the corpus.
        max_len: bytes of the longest input worth trying.
        instrument: modules and packages whose branches guide the fuzzer.
        pure: whether the Python is what is fuzzed; it is the specification, and can be watched.
    """

    name: str
    max_len: int
    instrument: tuple[str, ...]
    pure: bool = True

    def check(self) -> Callable[[bytes], None]:
        """Imports the target and returns its function."""
        function: Callable[[bytes], None] = import_module(f"{__name__}.{self.name}").check
        return function

    def seeds(self) -> Mapping[str, bytes]:
        """Imports the target and returns the inputs to start from, by name."""
        seeds: Mapping[str, bytes] = import_module(f"{__name__}.{self.name}").seeds()
        return seeds

    def corpus(self) -> list[Path]:
        """Returns the files of inputs that are kept: those that once failed, and those found."""
        return sorted(path for path in (CORPUS / self.name).glob("*") if path.is_file())


FRAMES: Final = tuple(
    f"rfc6455.{name}" for name in ("frames", "parser", "messages", "utf8", "close", "codec")
)

TARGETS: Final = {
    target.name: target
    for target in (
        Target("frame", 160, ("rfc6455.frames",)),
        Target("frames_server", 400, FRAMES),
        Target("frames_client", 400, FRAMES),
        Target("twins", 400, FRAMES, pure=False),
        Target(
            "channel",
            400,
            (*FRAMES, "rfc6455.connection", "rfc6455.sender", "rfc6455.asyncio"),
            pure=False,
        ),
        Target("inflate", 400, (*FRAMES, "rfc6455.extensions")),
        Target(
            "connection", 400, (*FRAMES, "rfc6455.connection", "rfc6455.sender", "rfc6455.state")
        ),
        Target("close", 140, ("rfc6455.close",)),
        Target("utf8", 64, ("rfc6455.utf8",)),
        Target("headers", 400, ("rfc6455.headers",)),
        Target("uri", 200, ("rfc6455.uri",)),
        Target("request_head", 1000, ("rfc6455", "h11")),
        Target("heads", 1000, ("rfc6455",), pure=False),
        Target("response_head", 1000, ("rfc6455", "h11")),
        Target("redirect", 200, ("rfc6455.redirect", "rfc6455.uri", "urllib.parse")),
        Target("proxy", 600, ("rfc6455", "h11")),
        Target("differential", 400, (*FRAMES, "wsproto", "websockets")),
    )
}
