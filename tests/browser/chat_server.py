"""The chat server as a child process, the way people start it.

What must live here: starting, finding the address in the output, stopping. What this file does
not know: browsers, and anything about the server but its command line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.programs import free_port

ROOT = Path(__file__).parents[2]
API_TOKEN = "only for tests"
ADDRESS = re.compile(r"http://[\w.-]+:(\d+)")


class ChatServer:
    """``python -m server`` on a port that stays the same from one start to the next.

    Args:
        arguments: further ones for the command.
    """

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start, and return once the server has printed its address."""
        command = [sys.executable, "-m", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, *self._arguments],
            cwd=ROOT,
            env=os.environ | {"RFC6455_CHAT_API_TOKEN": API_TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        output = []
        for line in self._process.stdout:
            output.append(line)
            if match := ADDRESS.search(line):
                self.port = int(match[1])
                break
        else:
            self.stop()
            raise RuntimeError("the chat server did not start:\n" + "".join(output))
        # Nobody reads on, but a full pipe would stop the server.
        self._drain = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._drain.start()

    def stats(self) -> dict[str, Any]:
        """Return what the server says about itself."""
        with urlopen(f"{self.url}api/stats") as answer:
            stats: dict[str, Any] = json.load(answer)
        return stats

    def publish(self, path: str, **body: Any) -> None:
        """Say something as another service does."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_TOKEN}"}
        request = Request(f"{self.url}api/{path}", json.dumps(body).encode(), headers)
        with urlopen(request) as answer:
            assert answer.status in (201, 202)

    def stop(self) -> None:
        """Ask the server to stop (SIGTERM) and wait until it has."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait()
        if self._drain is not None:
            self._drain.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = self._drain = None
