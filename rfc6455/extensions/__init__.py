"""RFC 6455 §9: extensions. `base` has the interfaces that each of them implements."""

from typing import Final

from .base import Extension, ExtensionFactory, Parameters
from .permessage_deflate import PermessageDeflate

__all__ = ["DEFAULT_EXTENSIONS", "Extension", "ExtensionFactory", "Parameters", "PermessageDeflate"]

DEFAULT_EXTENSIONS: Final[tuple[ExtensionFactory, ...]] = (PermessageDeflate(),)
"""What the transports negotiate unless they are told otherwise."""
