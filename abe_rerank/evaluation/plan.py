"""What a run has to do: images of prompts, in blocks that go through the models together.

A block is a run of up to ``batch_size`` images of one prompt. Blocks depend on nothing but the prompts, what is asked
for and the batch size, and a block is drawn and scored whole even where some of its results are there already: so
results do not depend on when a run was killed, nor on the number of processes.

What a strategy asks for depends on scores, and grows: a plan knows what was asked for until now, step by step, and
:meth:`Plan.after` gives it as it is after what was found.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from abe_rerank.drawing.strategies import Step, Strategy, Tried, steps_of
from abe_rerank.recipes import Recipe
from abe_rerank.runs.evaluated import Key
from abe_rerank.suites import SuitePrompt


@dataclass(frozen=True)
class Block:
    """The images ``candidates`` of the prompt at ``index``, with their ``recipes`` where a strategy asked for them, and
    how many are drawn at once (0: as many as the source draws), the block filled up."""

    index: int
    candidates: range
    recipes: tuple[Recipe, ...] = ()
    batch_size: int = 0

    @property
    def keys(self) -> tuple[Key, ...]:
        """The key of each image, in order."""
        return tuple((self.index, candidate) for candidate in self.candidates)


@dataclass(frozen=True)
class Plan:
    """All the work of a run until now: ``counts`` says how many images each prompt has.

    With a ``strategy``, which each prompt follows by itself, ``steps`` are those of each prompt. ``even``: the images
    of a step are shared out among batches of equal size, of at most ``batch_size``; else all batches have that size.
    """

    prompts: tuple[SuitePrompt, ...]
    counts: tuple[int, ...] = ()
    batch_size: int = 1
    strategy: Strategy | None = None
    even: bool = False
    steps: tuple[tuple[Step, ...], ...] = ()

    @classmethod
    def following(cls, strategy: Strategy, prompts: Sequence[SuitePrompt], batch_size: int, even: bool) -> Plan:
        """The plan of a strategy before anything is drawn."""
        return cls(tuple(prompts), (), batch_size, strategy, even).after({})

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of all results, in the order of the merged file."""
        return tuple((index, candidate) for index, count in enumerate(self.counts) for candidate in range(count))

    @property
    def is_whole(self) -> bool:
        """Whether nothing can be asked for beside this."""
        return self.strategy is None or all(steps and steps[-1].why for steps in self.steps)

    @property
    def possible(self) -> tuple[Key, ...]:
        """The keys that a result may have when all is done."""
        if self.strategy is None or self.is_whole:
            return self.keys
        return tuple((index, k) for index in range(len(self.prompts)) for k in range(2 * self.strategy.n))

    def after(self, found: Mapping[Key, Tried], seconds: float = 0.0) -> Plan:
        """The plan with what its strategy asks for after what was found, ``seconds`` after the beginning; no prompt is
        a step ahead of another of which something is missing, so that the order of the work is always the same.

        Raises as :meth:`abe_rerank.drawing.strategies.Strategy.next` does.
        """
        if self.strategy is None:
            return self
        of_each: list[dict[int, Tried]] = [{} for _ in self.prompts]
        for (index, candidate), tried in found.items():
            of_each[index][candidate] = tried
        steps = [steps_of(self.strategy, tried, seconds) for tried in of_each]
        asked = [sum(len(step.recipes) for step in each) for each in steps]
        behind = [len(each) for each, n, tried in zip(steps, asked, of_each, strict=True) if n > len(tried)]
        steps = [each[: min(behind)] for each in steps] if behind else steps
        counts = tuple(sum(len(step.recipes) for step in each) for each in steps)
        return replace(self, steps=tuple(steps), counts=counts)

    def blocks(self) -> Iterator[Block]:
        """All blocks, in the order of their keys; none holds images of two steps."""
        for index, count in enumerate(self.counts):
            if self.strategy is None:
                yield from self._blocks(index, 0, count, ())
                continue
            first = 0
            for step in self.steps[index]:
                yield from self._blocks(index, first, len(step.recipes), step.recipes)
                first += len(step.recipes)

    def _blocks(self, index: int, first: int, count: int, recipes: tuple[Recipe, ...]) -> Iterator[Block]:
        size = self.size_of(count) if count else 1
        for start in range(0, count, size):
            end = min(start + size, count)
            yield Block(index, range(first + start, first + end), recipes[start:end], size)

    def size_of(self, count: int) -> int:
        """How many of ``count`` images of a step are drawn at once."""
        return math.ceil(count / math.ceil(count / self.batch_size)) if self.even else self.batch_size

    def at_once(self, key: Key) -> int:
        """How many images were drawn at once with that of a key."""
        return next(block.batch_size for block in self.blocks() if key in block.keys)

    def share(self, done: Collection[Key], rank: int, processes: int) -> list[Block]:
        """Every ``processes``-th of the blocks that are not all done, from the ``rank``-th on."""
        waiting = [block for block in self.blocks() if any(key not in done for key in block.keys)]
        return waiting[rank::processes]
