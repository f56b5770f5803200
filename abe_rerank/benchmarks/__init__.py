"""Measurements of the package, each behind a command ``abe-rerank benchmark ...``."""

from __future__ import annotations

from pathlib import Path


def in_checkout() -> bool:
    """Whether this is a checkout: the wheel leaves out ``benchmarks.checkout`` and the renderers that it draws with."""
    return (Path(__file__).parent / "checkout").is_dir()
