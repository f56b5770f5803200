"""The verb: ``parse(prompt) -> Spec``, by spaCy's tokenizer and the rules of this package."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from abe_rerank.parsing.between import step_at_word
from abe_rerank.parsing.edits import Clause, Talk, View, apply
from abe_rerank.parsing.objects import step_at_phrase
from abe_rerank.parsing.phrases import items_of
from abe_rerank.parsing.scene import Scene, spec_of
from abe_rerank.parsing.syntax import read_as, without_layout
from abe_rerank.parsing.tagger import tag
from abe_rerank.parsing.words import Word, words_of
from abe_rerank.types import Spec

if TYPE_CHECKING:
    from spacy.language import Language


@cache
def _tokenizer() -> Language:
    import spacy

    return spacy.blank("en")


def parse(prompt: str, model: str | None = None) -> Spec:
    """What a prompt asks for: objects with attributes, counts and relations, each with its character span.

    ``model`` names a spaCy English model that the user has installed, whose dependency parse is then used
    instead of the built-in rules. Never raises on text; a prompt in which nothing was found gives a Spec that
    says so (``nothing_to_bind``). Raises UsageError if ``model`` is not installed.
    """
    typed = read_as(prompt)
    if model is not None:
        from abe_rerank.parsing.spacy_model import parse_with

        return parse_with(model, typed)
    words = without_layout(words_of(typed.text, _tokenizer().make_doc))
    tag(words)
    return spec_of(typed, scene_of(words))


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
