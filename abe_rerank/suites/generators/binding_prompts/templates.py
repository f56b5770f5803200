"""Templates: sentences with slots for things. A draft has everything drawn; writing it is pure.

Signs before a slot ``{names}``, with a letter to speak of it again: ``@a{cup/mug}`` is "a red cup", ``^`` "the red
cup", ``+`` "red cup", ``*`` "red cups", ``#`` "three red cups", ``~`` "cup" alone, whose attribute ``{a.value}`` says.
``{*}`` as names is any thing of the stage. Other braces: ``{x|y}`` one of both, ``{place}`` where the stage is,
``{near}``, ``{c1}`` to ``{c4}`` different colours, ``{a.is}``, ``{a.it}``, ``{a.a}`` (its article), ``{a.v}``
("stands"), ``{a.inv}`` (the same before its subject), ``{a.ing}`` ("standing"). ``<red|cup>`` marks an attribute
(:mod:`~abe_rerank.suites.generators.binding_prompts.noun_phrases`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from abe_rerank.suites.generators.binding_prompts.lot import Lot
from abe_rerank.suites.generators.binding_prompts.noun_phrases import Value, indefinite, noun_phrase, predicate
from abe_rerank.suites.generators.binding_prompts.vocabulary import Stage, Thing, things

Chooser = Callable[[Lot, Thing], tuple[Value, ...] | None]
"""Draws the attributes of a thing, None if it has none of the kind that is wanted."""

NUMBERS = ("two", "three", "four", "five", "six")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple", "pink", "orange", "grey", "brown", "turquoise")
_TRIES = 12
_NEAR = ("next to", "next to", "beside", "beside", "near")
_SLOT = re.compile(r"([@^+*#~])(\w?)\{([^{}]*)\}")
_BRACES = re.compile(r"\{([^{}]*)\}")
_VERBS = {
    "stand": ("stands", "stand", "standing"),
    "lie": ("lies", "lie", "lying"),
    "sit": ("sits", "sit", "sitting"),
    "hang": ("hangs", "hang", "hanging"),
    "float": ("floats", "float", "floating"),
    "graze": ("grazes", "graze", "grazing"),
    "grow": ("grows", "grow", "growing"),
    "park": ("is parked", "are parked", "parked"),
}


class NoSuchPrompt(Exception):  # noqa: N818 - no error: the caller draws again
    """What was drawn does not go together."""


@dataclass(frozen=True)
class Slot:
    """A thing in a template with the attributes that were drawn for it."""

    sign: str
    thing: Thing
    values: tuple[Value, ...]
    number: str = ""

    @property
    def many(self) -> bool:
        """Is it spoken of in the plural?"""
        return self.sign in "*#" or self.thing.always_plural

    def text(self) -> str:
        """The marked noun phrase."""
        if self.sign == "@":
            return indefinite(self.values, self.thing)
        if self.sign == "~":
            return self.thing.name
        if self.sign in "*#":
            return f"{self.number} {noun_phrase(self.values, self.thing.plural)}".strip()
        return ("the " if self.sign == "^" else "") + noun_phrase(self.values, self.thing.name)

    def said(self, what: str) -> str:
        """What ``{a.what}`` stands for. Raises NoSuchPrompt if English has no way to say it."""
        one, more, participle = _VERBS[self.thing.posture]
        inverted = ("stands", "stand") if self.thing.posture == "park" else (one, more)
        if what == "value":
            value = predicate(self.values, self.thing.name)
            if value is None:
                raise NoSuchPrompt
            return value
        return {
            "is": "are" if self.many else "is",
            "it": "them" if self.many else "it",
            "a": "" if self.many else "a ",
            "v": more if self.many else one,
            "inv": inverted[self.many],
            "ing": participle,
        }[what]


@dataclass
class Draft:
    """A template with everything drawn: ``{a}`` and ``{a.what}`` are left, and filled from the slots."""

    text: str
    slots: dict[str, Slot] = field(default_factory=dict)

    def marked(self) -> str:
        """The marked text. Raises NoSuchPrompt for what English cannot say."""

        def fill(found: re.Match[str]) -> str:
            name, _, what = found[1].partition(".")
            return self.slots[name].said(what) if what else self.slots[name].text()

        return _BRACES.sub(fill, self.text)


class Drafter:
    """Draws the slots of templates; things of one prompt share no head noun and no attribute."""

    def __init__(self, lot: Lot, choose: Chooser, stage: Stage | None = None) -> None:
        self.lot = lot
        self.choose = choose
        self.stage = stage
        self.heads: set[str] = set()
        self.words: set[str] = set()
        self.hanging: bool | None = None  # what hangs and what stands on the floor do not stand beside each other

    def draft(self, template: str) -> Draft:
        """Everything drawn. Raises NoSuchPrompt if what was drawn does not go together."""
        draft = Draft(template)

        def slot(found: re.Match[str]) -> str:
            name = found[2] or f"slot{len(draft.slots)}"
            draft.slots[name] = self._slot(found[1], found[3])
            return "{" + name + "}"

        text = _SLOT.sub(slot, template)
        colours = iter(self.lot.shuffled([colour for colour in COLOURS if colour not in template]))
        drawn: dict[str, str] = {}

        def brace(found: re.Match[str]) -> str:
            inside = found[1]
            if inside in draft.slots or inside.partition(".")[0] in draft.slots:
                return found[0]
            if inside == "near" or inside not in drawn:
                drawn[inside] = next(colours) if re.fullmatch(r"c\d", inside) else self._text(inside)
            return drawn[inside]

        draft.text = _BRACES.sub(brace, text)
        said = re.findall(r"\b(?:beside|near|next to)\b", draft.text)
        if (self.hanging and re.search(r"in front of|behind", draft.text)) or len(set(said)) < len(said):
            raise NoSuchPrompt
        return draft

    def _text(self, inside: str) -> str:
        if inside == "near":
            return self.lot.pick(_NEAR)
        if inside == "place":
            assert self.stage is not None
            place = self.lot.rare(self.stage.places)
            if (self.heads | self.words) & set(re.findall(r"\w+", place)):
                raise NoSuchPrompt
            return place
        return self.lot.pick(inside.split("|"))

    def _slot(self, sign: str, names: str) -> Slot:
        for _ in range(_TRIES):
            thing = self._thing(names)
            heads = {thing.name.split()[-1], thing.plural.split()[-1], thing.name}
            values = self.choose(self.lot, thing)
            said = {value.split()[-1] for _, value in values or ()}
            fits = self.hanging in (None, thing.posture == "hang") or names != "*"
            if values is None or not fits or heads & self.heads or said & self.words:
                continue
            if sign in "*#+" and thing.always_plural:
                continue
            self.heads |= heads
            self.words |= said
            self.hanging = thing.posture == "hang" if names == "*" else self.hanging
            return Slot(sign, thing, values, self.lot.pick(NUMBERS) if sign == "#" else "")
        raise NoSuchPrompt

    def _thing(self, names: str) -> Thing:
        if names == "*":
            assert self.stage is not None
            return self.lot.rare(self.stage.things)
        return things()[self.lot.rare(names.split("/"))]
