"""Many clients at once, and those that mean ill: what becomes of a real server.

python -m tests.load NAME [--quick]
"""

from typing import Final

NAMES: Final = ("idle", "cycles", "stalled", "floods", "emfile", "shutdown", "room", "restart")
"""The scenarios, a module each: `run`, its `QUICK` size, and what is wrong with a result: `faults`
where a promise is broken, `misses` where a figure is not what it should be."""
