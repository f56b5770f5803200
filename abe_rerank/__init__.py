"""Best-of-N for text-to-image models by attribute binding (ABE-CLIP), with a report of which attribute sits where."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from abe_rerank import types

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


def _repr_html_(value: Any) -> str:
    """What a notebook shows of a value. It stands here, above all rooms, since values know nothing of pages."""
    from abe_rerank.report.notebook import html_of

    return html_of(value)


for _kind in (types.Ranking, types.Score, types.Spec):
    _kind._repr_html_ = _repr_html_  # type: ignore[union-attr]

if TYPE_CHECKING:
    from abe_rerank.errors import AbeRerankError, UsageError
    from abe_rerank.parsing import parse
    from abe_rerank.reranker import Reranker
    from abe_rerank.types import Candidate, PairScore, Ranking, Score, Spec


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
