"""Best-of-N for text-to-image models by attribute binding (ABE-CLIP), with a report of which attribute sits where."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Reranker": "abe_rerank.reranker",
    "parse": "abe_rerank.parsing",
    "Spec": "abe_rerank.types",
    "Score": "abe_rerank.types",
    "PairScore": "abe_rerank.types",
    "Candidate": "abe_rerank.types",
    "Ranking": "abe_rerank.types",
    "AbeRerankError": "abe_rerank.errors",
    "UsageError": "abe_rerank.errors",
}
__all__ = [
    "AbeRerankError",
    "Candidate",
    "PairScore",
    "Ranking",
    "Reranker",
    "Score",
    "Spec",
    "UsageError",
    "__version__",
    "parse",
]

if TYPE_CHECKING:
    from abe_rerank.errors import AbeRerankError, UsageError
    from abe_rerank.parsing import parse
    from abe_rerank.reranker import Reranker
    from abe_rerank.types import Candidate, PairScore, Ranking, Score, Spec


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
