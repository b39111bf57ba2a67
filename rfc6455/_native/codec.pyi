from collections.abc import Callable

from ..events import Event

def apply_mask(payload: bytes, key: bytes) -> bytes: ...
def encode(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    rsv: int = 0,
    masking_key: bytes | None = None,
) -> bytes: ...
def take_whole_messages(
    data: bytes,
    position: int,
    masked: bool,
    limit: int,
    events: list[Event],
    mark: int = 0,
    unwrap: Callable[[bytes, bool], str | bytes | None] | None = None,
) -> int: ...
def encode_message(message: str | bytes, masking_key: bytes | None = None) -> bytes: ...
