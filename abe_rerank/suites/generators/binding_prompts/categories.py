"""The categories of the suite: which templates and attributes each has, and how many prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from abe_rerank.suites import Pairs
from abe_rerank.suites.generators.binding_prompts.choosers import any_of, mixed, only
from abe_rerank.suites.generators.binding_prompts.lot import Lot
from abe_rerank.suites.generators.binding_prompts.noun_phrases import finished
from abe_rerank.suites.generators.binding_prompts.templates import Chooser, Draft, Drafter, NoSuchPrompt
from abe_rerank.suites.generators.binding_prompts.vocabulary import Aspect, Stage, sections_of, stages

Written = tuple[str, Pairs]
Maker = Callable[[Lot], tuple[Written, ...]]
"""Draws one prompt, or a prompt with its twin. Raises NoSuchPrompt if what was drawn does not go together."""

_OPENINGS = ("a photo of", "a photo of", "a photograph of", "a painting of", "an illustration of", "a picture of")
_OPENED = 0.12
_MOST_TRIES = 200_000


@dataclass(frozen=True)
class Category:
    """A category with the number of its ids; twins have two prompts for one id."""

    name: str
    number: int
    make: Maker


def prompts_of(category: Category, lot: Lot, seen: set[str]) -> Iterator[tuple[Written, ...]]:
    """The prompts of a category; none that is in ``seen``, which grows. Raises RuntimeError if there are too few."""
    given = 0
    for _ in range(_MOST_TRIES):
        if given == category.number:
            return
        try:
            group = category.make(lot)
        except NoSuchPrompt:
            continue
        if any(_key(prompt) in seen for prompt, _ in group):
            continue
        seen.update(_key(prompt) for prompt, _ in group)
        lot.note([word for prompt, pairs in group[:1] for pair in pairs for word in pair])
        given += 1
        yield group
    raise RuntimeError(f"the templates of {category.name} give too few prompts")


def _key(prompt: str) -> str:
    """Two prompts are the same if they have the same words."""
    return " ".join(re.findall(r"[\w-]+", prompt.lower()))


@cache
def templates(file: str, *sections: str) -> tuple[str, ...]:
    """The templates of some sections of a data file, of all if none is named, with their names filled in."""
    found = sections_of(file)
    names = dict(line.split(" = ") for line in found.get("names", []))
    chosen = [line for title in sections or found for line in found[title]]
    return tuple(re.sub(r"\$(\w+)", lambda name: "|".join(names[name[1]].split(" / ")), line) for line in chosen)


def scene(lot: Lot, lines: Sequence[str], choose: Chooser) -> tuple[Written, ...]:
    """A prompt from one of the templates, at one of the stages."""
    return (_opened(lot, _draft(lot, lines, choose)),)


def _draft(lot: Lot, lines: Sequence[str], choose: Chooser) -> Draft:
    line = lot.rare(lines)
    draft = Drafter(lot, choose, lot.pick(_by_size()) if "{*}" in line else None).draft(line)
    lot.note([line])
    return draft


@cache
def _by_size() -> tuple[Stage, ...]:
    """The stages, those of few things less often, lest these be in too many prompts."""
    return tuple(stage for stage in stages().values() for _ in range(min(len(stage.things), 10)))


def _opened(lot: Lot, draft: Draft) -> Written:
    """The prompt of a draft, some of those that are no sentences with "a photo of"."""
    marked = draft.marked()
    if not marked.endswith(".") and lot.below(_OPENED):
        marked = f"{lot.pick(_OPENINGS)} {marked}"
    return finished(marked)


def twin(lot: Lot, lines: Sequence[str], aspect: Aspect) -> tuple[Written, ...]:
    """A prompt and the same with the attributes of its two things swapped, both of them plausible."""
    said = [line for line in lines if aspect != "material" or ".value" not in line]  # nobody says "the stool is wood"
    draft = _draft(lot, said, only(aspect))
    (first, a), (second, b) = draft.slots.items()
    if a.values[0][1] not in b.thing.values[aspect] or b.values[0][1] not in a.thing.values[aspect]:
        raise NoSuchPrompt
    swapped = {first: replace(a, values=b.values), second: replace(b, values=a.values)}
    return finished(draft.marked()), finished(Draft(draft.text, swapped).marked())


def _one_aspect(aspect: Aspect, whole: int = 1) -> Maker:
    """Prompts of one aspect: things beside each other, some with the attribute after its noun, and with weight
    ``whole`` people in their clothes and things with parts.
    """
    two = templates("scenes.txt", "two")
    after = templates("scenes.txt", "made" if aspect == "material" else "predicate")
    three = templates("scenes.txt", "three")
    wholes = templates("people.txt", "people", "parts")
    choose = only(aspect)

    def make(lot: Lot) -> tuple[Written, ...]:
        lines = lot.pick([two, two, two, after, three, *([wholes] * whole)])
        return scene(lot, lines, choose)

    return make


_TWO_ATTRIBUTES = {"two": 0.8, "three": 0.5, "four": 0.35, "five": 0.25}


def _mixed(lot: Lot) -> tuple[Written, ...]:
    number = lot.pick([*_TWO_ATTRIBUTES, "people"])
    if number == "people":
        return scene(lot, templates("people.txt", "people", "parts"), mixed(0.6))
    return scene(lot, templates("scenes.txt", number), mixed(_TWO_ATTRIBUTES[number]))


def _relation(lot: Lot) -> tuple[Written, ...]:
    choose = any_of("colour", "colour", "colour", "material", "texture", "shape", "pattern", "size")
    return scene(lot, templates("relations.txt"), choose)


def _count(lot: Lot) -> tuple[Written, ...]:
    choose = any_of("colour", "colour", "colour", "pattern", "texture", "size", "material")
    return scene(lot, templates("counts.txt"), choose)


def _language(lot: Lot) -> tuple[Written, ...]:
    line = lot.rarest(templates("language.txt"))  # every construction is there
    lot.note([line])
    return (finished(Drafter(lot, mixed(0.0)).draft(line).marked()),)


def _long(lot: Lot) -> tuple[Written, ...]:
    return scene(lot, templates("long.txt"), mixed(0.45))


def _swapped(lot: Lot) -> tuple[Written, ...]:
    aspects: tuple[Aspect, ...] = ("colour", "colour", "colour", "material", "texture", "shape", "pattern", "size")
    return twin(lot, templates("scenes.txt", "twins"), lot.pick(aspects))


CATEGORIES = (
    Category("colour", 300, _one_aspect("colour", whole=2)),
    Category("shape", 300, _one_aspect("shape")),
    Category("texture", 300, _one_aspect("texture")),
    Category("material", 300, _one_aspect("material", whole=2)),
    Category("relations", 300, _relation),
    Category("mixed", 300, _mixed),
    Category("size", 150, _one_aspect("size")),
    Category("pattern", 150, _one_aspect("pattern")),
    Category("count", 150, _count),
    Category("swapped", 150, _swapped),
    Category("long", 100, _long),
    Category("language", 300, _language),
)
