"""Measurements of the package, each behind a command ``abe-rerank benchmark ...``."""
