"""Scorers: images and prompts in, scores with their reasons out. One file per method."""

from abe_rerank.scoring.registry import Scorer, choices, make_scorer, names, register, title

__all__ = ["Scorer", "choices", "make_scorer", "names", "register", "title"]
