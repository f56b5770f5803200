"""Which attribute belongs to which object: one walk over the items of a prompt. Each item is planned by a pure step
from what was said before, and its edits are applied to the scene.
"""

from __future__ import annotations

from abe_rerank.parsing.between import step_at_word
from abe_rerank.parsing.clauses import items_of
from abe_rerank.parsing.edits import apply
from abe_rerank.parsing.objects import step_at_phrase
from abe_rerank.parsing.scene import Scene
from abe_rerank.parsing.state import Clause, Talk, View
from abe_rerank.parsing.words import Word


def scene_of(words: list[Word]) -> Scene:
    """The scene that tagged words describe."""
    items = items_of(words)
    scene, clause, talk = Scene(words), Clause(), Talk()
    for at, item in enumerate(items):
        view = View(words, items, scene, at, clause, talk)
        step = step_at_word(view) if item.phrase is None else step_at_phrase(view, item.phrase)
        clause, talk = step.clause, step.talk
        apply(scene, step.edits)
    return scene
