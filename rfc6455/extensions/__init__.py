"""RFC 6455 §9: extensions. `base` has the interfaces that each of them implements."""

from .base import Extension, ExtensionFactory, Parameters

__all__ = ["Extension", "ExtensionFactory", "Parameters"]
