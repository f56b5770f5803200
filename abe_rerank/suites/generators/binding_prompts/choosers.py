# ruff: noqa: SIM905 - word lists read best as text
"""Which attributes a thing gets: one of a wanted aspect, or one or two that go together."""

from __future__ import annotations

from abe_rerank.suites.generators.binding_prompts.lot import Lot
from abe_rerank.suites.generators.binding_prompts.noun_phrases import Value
from abe_rerank.suites.generators.binding_prompts.templates import Chooser
from abe_rerank.suites.generators.binding_prompts.vocabulary import Aspect, Thing

# Materials that keep their own colour: nobody says "a red copper kettle".
_UNCOLOURED = frozenset(
    """copper steel brass silver gold bronze pewter chrome aluminium iron tin terracotta wicker straw marble oak pine
    walnut bamboo cork jute hemp jade pearl beeswax foil crystal wire slate stone concrete brick coral denim lace fur
    cast-iron cardboard""".split()
)
_SHADES = ("dusty", "faded", "snowy", "sandy", "icy", "dull")
_SHAPED = ("small", "large", "tiny", "huge", "low")
_TOGETHER: tuple[tuple[Aspect, Aspect], ...] = (
    ("size", "colour"),
    ("size", "material"),
    ("size", "shape"),
    ("size", "pattern"),
    ("texture", "colour"),
    ("shape", "colour"),
    ("shape", "material"),
    ("colour", "material"),
    ("colour", "material"),
    ("colour", "pattern"),
)


def only(aspect: Aspect) -> Chooser:
    """One attribute of one aspect."""

    def choose(lot: Lot, thing: Thing) -> tuple[Value, ...] | None:
        values = thing.values.get(aspect)
        return ((aspect, lot.rare(values)),) if values else None

    return choose


def any_of(*aspects: Aspect) -> Chooser:
    """One attribute of one of the aspects that the thing has; one that is named more often is likelier."""

    def choose(lot: Lot, thing: Thing) -> tuple[Value, ...] | None:
        having = [aspect for aspect in aspects if aspect in thing.values]
        return only(lot.pick(having))(lot, thing) if having else None

    return choose


def mixed(two: float) -> Chooser:
    """One attribute of any aspect, or with probability ``two`` two that go together."""
    one = any_of("colour", "colour", "material", "texture", "shape", "pattern", "size")

    def choose(lot: Lot, thing: Thing) -> tuple[Value, ...] | None:
        couples = [couple for couple in _TOGETHER if all(aspect in thing.values for aspect in couple)]
        if not couples or not lot.below(two):
            return one(lot, thing)
        couple = lot.pick(couples)
        values = tuple((aspect, lot.rare(thing.values[aspect])) for aspect in couple)
        return values if _compatible(values) else None

    return choose


def _compatible(values: tuple[Value, ...]) -> bool:
    said = dict(values)
    if "colour" in said and said.get("material") in _UNCOLOURED:
        return False
    if "shape" in said and said.get("size", "small") not in _SHAPED:  # no "long square rug"
        return False
    if "colour" in said and said.get("size") == "deep":  # "a deep brown basket" may be of a deep brown
        return False
    if "colour" in said and said.get("texture") in _SHADES:  # "a dusty green bus" may be of a dusty green
        return False
    same = [value.split()[-1] for value in said.values()]
    return len(set(same)) == len(same)
