"""Adapters for what people already run; each needs the package that it is for."""
