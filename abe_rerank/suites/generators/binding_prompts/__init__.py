"""The ``binding`` suite: natural English about things with attributes, drawn at random from hand-written material.

``python -m abe_rerank.suites.generators.binding_prompts`` writes the suite again; a test checks that the file is what
this code makes. The words lie in ``data/``: things with the attributes that they can plausibly have, the
places where they meet, and sentences. The pairs come from the templates, never from the parser.
"""

from __future__ import annotations

from abe_rerank.suites import SuitePrompt
from abe_rerank.suites.generators.binding_prompts.categories import CATEGORIES, prompts_of
from abe_rerank.suites.generators.binding_prompts.lot import Lot

NAME = "binding"
SEED = 20261125
VERSION = "1.0"
LICENCE = "Apache-2.0"


def suite(seed: int = SEED) -> list[SuitePrompt]:
    """All prompts of the suite; equal seeds give equal prompts, and no prompt is there twice.

    Each category has its own stream of draws: a change to one changes others only where both would say the same.
    A prompt and its twin have ids that end in "a" and "b".
    """
    seen: set[str] = set()
    prompts: list[SuitePrompt] = []
    source = f"abe_rerank.suites.binding {VERSION}, seed {seed}"
    for category in CATEGORIES:
        groups = prompts_of(category, Lot(f"{seed} {category.name}"), seen)
        for number, group in enumerate(groups, start=1):
            for letter, (text, pairs) in zip("ab" if len(group) > 1 else ("",), group, strict=True):
                name = f"{NAME}-{category.name}-{number:03d}{letter}"
                prompts.append(SuitePrompt(name, text, pairs, category.name, source, LICENCE))
    return prompts
