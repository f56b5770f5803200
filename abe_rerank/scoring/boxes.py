"""Boxes that a caller, as a detector, gives for the objects of a prompt. No tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from abe_rerank.errors import UsageError
from abe_rerank.types import Box, Spec

Boxes = Mapping[str, Sequence[float]]
"""The box of each phrase, as fractions of the image: (left, top, right, bottom)."""


@dataclass(frozen=True)
class BoxedSpec(Spec):
    """What a prompt asks for, with the boxes of its objects in one image, each under a phrase that names the object."""

    boxes: tuple[tuple[str, Box], ...] = ()


def with_boxes(spec: Spec, boxes: Boxes) -> BoxedSpec:
    """The spec with boxes. Raises UsageError as :func:`boxes_by_object` does."""
    boxes_by_object(spec, boxes)
    own = {field.name: getattr(spec, field.name) for field in fields(Spec)}
    return BoxedSpec(**own, boxes=tuple((phrase, checked_box(phrase, box)) for phrase, box in boxes.items()))


def words_of(spec: Spec, k: int) -> str:
    """Object ``k`` in its own words: its attributes, then its noun."""
    thing = spec.objects[k]
    return " ".join([*(attribute.text for attribute in thing.attributes), thing.text])


def boxes_by_object(spec: Spec, boxes: Boxes) -> dict[int, Box]:
    """The caller's boxes by the object that each phrase names, whole ("a red cube", "red cube") or by its noun.

    Raises UsageError for a phrase that is no object of the prompt or could be several, two boxes for one object, and a
    box that is empty, upside down or not within the image.
    """
    found: dict[int, Box] = {}
    for phrase, box in boxes.items():
        k = _object_of(spec, phrase)
        if k in found:
            raise UsageError(f"the boxes name the object {words_of(spec, k)!r} twice")
        found[k] = checked_box(phrase, box)
    return found


def _object_of(spec: Spec, phrase: str) -> int:
    asked = " ".join(phrase.lower().split())
    names = [
        (k, {" ".join(n.lower().split()) for n in (spec.prompt[slice(*o.phrase_span)], words_of(spec, k))}, o.text)
        for k, o in enumerate(spec.objects)
    ]
    fits = [k for k, whole, _ in names if asked in whole] or [k for k, _, noun in names if asked == noun.lower()]
    if len(fits) != 1:
        known = ", ".join(repr(words_of(spec, k)) for k, _, _ in names) or "none"
        why = "could be several objects" if fits else "is no object"
        raise UsageError(f"the box of {phrase!r}: it {why} of the prompt {spec.prompt!r}; its objects are {known}")
    return fits[0]


def checked_box(phrase: str, box: Sequence[float]) -> Box:
    """The box itself. Raises UsageError for one that is empty, upside down, or not within the image."""
    try:
        left, top, right, bottom = (float(edge) for edge in box)
    except (TypeError, ValueError):
        raise UsageError(f"the box of {phrase!r} is {box!r}; give (left, top, right, bottom) in 0 to 1") from None
    if not (0 <= left <= 1 and 0 <= top <= 1 and 0 <= right <= 1 and 0 <= bottom <= 1):
        raise UsageError(
            f"the box of {phrase!r} leaves the image: {left:g}, {top:g}, {right:g}, {bottom:g}; "
            "edges are fractions of its width and height, 0 to 1"
        )
    if left >= right or top >= bottom:
        raise UsageError(
            f"the box of {phrase!r} is empty: left {left:g}, right {right:g}, top {top:g}, bottom {bottom:g}; "
            "the order is left, top, right, bottom"
        )
    return (left, top, right, bottom)
