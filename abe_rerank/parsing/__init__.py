"""From a prompt to a :class:`~abe_rerank.types.Spec`: which attribute belongs to which object, without any
download.
"""

from __future__ import annotations

from abe_rerank.parsing.parser import parse

__all__ = ["parse"]
