"""Helpers for tests of applications: WebSockets without sockets, time without waiting.

The real `connect`, `serve` and `WebSocket` run over a network in memory, which does to their bytes
what a test asks for; and a virtual clock jumps to the next timer. See "Test an application" in the
documentation.
"""

from .clock import Stalled, VirtualTimeLoop, run, settle, virtual_time
from .endpoints import MemoryServer, client, pair, serving
from .network import Faults, Link, Network
from .steps import at_every_step, cancel_after, steps

__all__ = [
    "Faults",
    "Link",
    "MemoryServer",
    "Network",
    "Stalled",
    "VirtualTimeLoop",
    "at_every_step",
    "cancel_after",
    "client",
    "pair",
    "run",
    "serving",
    "settle",
    "steps",
    "virtual_time",
]
