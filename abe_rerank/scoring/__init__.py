"""Scorers: images and prompts in, scores with their reasons out. One file per method."""

from abe_rerank.scoring.protocol import Scorer
from abe_rerank.scoring.registry import choices, make_scorer, names, register, title

__all__ = ["Scorer", "choices", "make_scorer", "names", "register", "title"]
