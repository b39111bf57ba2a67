"""socketify: uWebSockets, in C++, with callbacks in Python."""

from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode

from . import arguments

TOPIC = "everybody"


def main() -> None:
    """Runs the server."""
    options = arguments()
    application = App()

    def echo(ws: Any, message: str | bytes, opcode: OpCode) -> None:
        ws.send(message, opcode, options.deflate is not None)

    def broadcast(ws: Any, message: str | bytes, opcode: OpCode) -> None:
        application.publish(TOPIC, message, opcode, options.deflate is not None)

    application.ws(
        "/*",
        {
            "compression": CompressOptions.DEDICATED_COMPRESSOR_32KB
            if options.deflate
            else CompressOptions.DISABLED,
            "max_payload_length": 16 * 1024 * 1024,
            "max_backpressure": 64 * 1024 * 1024,
            "idle_timeout": 120,
            "open": lambda ws: ws.subscribe(TOPIC) if options.workload == "broadcast" else None,
            "message": echo if options.workload == "echo" else broadcast,
        },
    )
    application.listen(AppListenOptions(port=options.port, host="127.0.0.1"), lambda config: None)
    application.run()


if __name__ == "__main__":
    main()
