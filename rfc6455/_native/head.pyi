def read_request(
    data: bytes,
    max_line: int | None,
    max_header_line: int | None,
    max_head: int | None,
    max_headers: int | None,
    /,
) -> tuple[str, str, str, str, bytes, dict[bytes, list[bytes]], int] | None: ...
