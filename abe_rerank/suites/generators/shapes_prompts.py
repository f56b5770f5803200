"""The ``shapes`` suite: prompts that the built-in text-to-image model can draw, made by lot from a seed.

``python -m abe_rerank.suites.generators.shapes_prompts`` writes ``prompts/shapes.jsonl`` again; a test checks that
the file is what this code makes. Each object of a prompt has another shape and another colour, so that every prompt has
a swapped twin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from abe_rerank.shapes.world import COLOURS, SHAPES
from abe_rerank.suites import Pairs, SuitePrompt, as_line

NAME = "shapes"
VERSION = "1.0"
SEED = 20261123
LICENCE = "Apache-2.0"
_OPENINGS = ("", "", "", "", "a photo of ", "a picture of ", "a drawing of ")
_JOINTS = ("and", "and", "next to", "beside", "to the left of", "above")


@dataclass(frozen=True)
class Phrase:
    """A noun phrase with its pairs in the order of the text."""

    text: str
    pairs: Pairs


def suite(seed: int = SEED) -> list[SuitePrompt]:
    """All prompts of the suite; equal seeds give equal prompts, and no prompt is there twice."""
    rng = np.random.default_rng(seed)
    plan: tuple[tuple[str, int, Callable[[np.random.Generator], list[Phrase]]], ...] = (
        ("single", 100, lambda rng: _phrases(rng, 1, _colour)),
        ("colour-2", 300, lambda rng: _phrases(rng, 2, _colour)),
        ("colour-3", 100, lambda rng: _phrases(rng, 3, _colour)),
        ("pattern-2", 100, _pattern_pair),
        ("size-2", 100, _size_pair),
        ("count-2", 100, _count_pair),
    )
    prompts: list[SuitePrompt] = []
    for category, number, draw in plan:
        seen: set[str] = set()
        while len(seen) < number:
            phrases = draw(rng)
            text = _joined(rng, [phrase.text for phrase in phrases])
            if text not in seen:
                seen.add(text)
                pairs = tuple(pair for phrase in phrases for pair in phrase.pairs)
                name = f"shapes-{category}-{len(seen):03d}"
                source = f"abe_rerank.suites.shapes, seed {seed}"
                prompts.append(SuitePrompt(name, text, pairs, category, source, LICENCE))
    return prompts


def _phrases(
    rng: np.random.Generator, number: int, make: Callable[[np.random.Generator, str, str], Phrase]
) -> list[Phrase]:
    """Phrases of ``number`` objects of different colours and shapes."""
    colours, shapes = rng.permutation(COLOURS)[:number], rng.permutation(SHAPES)[:number]
    return [make(rng, str(colour), str(shape)) for colour, shape in zip(colours, shapes, strict=True)]


def _colour(rng: np.random.Generator, colour: str, shape: str) -> Phrase:
    if rng.random() < 0.1:
        return Phrase(f"{_article(shape)} {shape} that is {colour}", ((colour, shape),))
    return _plain((colour,), shape)


def _pattern_pair(rng: np.random.Generator) -> list[Phrase]:
    patterns = iter(rng.permutation(["striped", "dotted"]))
    return _phrases(rng, 2, lambda _, colour, shape: _plain((str(next(patterns)), colour), shape))


def _size_pair(rng: np.random.Generator) -> list[Phrase]:
    sizes = iter(rng.permutation(["small", "large"]))
    return _phrases(rng, 2, lambda _, colour, shape: _plain((str(next(sizes)), colour), shape))


def _count_pair(rng: np.random.Generator) -> list[Phrase]:
    counts = iter(rng.permutation(["two", "one"]))

    def make(_: np.random.Generator, colour: str, shape: str) -> Phrase:
        if next(counts) == "one":
            return _plain((colour,), shape)
        plural = shape + ("es" if shape.endswith(("s", "x")) else "s")
        return Phrase(f"two {colour} {plural}", ((colour, plural),))

    return _phrases(rng, 2, make)


def _plain(attributes: tuple[str, ...], shape: str) -> Phrase:
    words = " ".join((*attributes, shape))
    return Phrase(f"{_article(words)} {words}", tuple((attribute, shape) for attribute in attributes))


def _joined(rng: np.random.Generator, phrases: Sequence[str]) -> str:
    opening = str(rng.choice(_OPENINGS))
    if len(phrases) == 2:
        return f"{opening}{phrases[0]} {rng.choice(_JOINTS)} {phrases[1]}"
    return opening + (", ".join(phrases[:-1]) + " and " if len(phrases) > 1 else "") + phrases[-1]


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def main() -> None:
    """Write the suite into the checkout's ``prompts`` folder."""
    from abe_rerank.files import data_folder

    lines = [as_line(prompt) for prompt in suite()]
    (data_folder("prompts") / "shapes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
