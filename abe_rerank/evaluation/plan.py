"""What an evaluation has to do: images of prompts, in blocks that go through the models together.

A block is a run of up to ``batch_size`` images of one prompt. Blocks depend on nothing but the prompts, the numbers of
images and the batch size, and a block is drawn and scored whole even where some of its results are there already: so
results do not depend on when a run was killed, nor on the number of processes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from abe_rerank.runs.evaluated import Key
from abe_rerank.suites import SuitePrompt


@dataclass(frozen=True)
class Block:
    """The images ``candidates`` of the prompt at ``index``."""

    index: int
    candidates: range

    @property
    def keys(self) -> tuple[Key, ...]:
        """The key of each image, in order."""
        return tuple((self.index, candidate) for candidate in self.candidates)


@dataclass(frozen=True)
class Plan:
    """All the work of a run: ``counts`` says how many images each prompt has."""

    prompts: tuple[SuitePrompt, ...]
    counts: tuple[int, ...]
    batch_size: int = 1

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of all results, in the order of the merged file."""
        return tuple((index, candidate) for index, count in enumerate(self.counts) for candidate in range(count))

    def blocks(self) -> Iterator[Block]:
        """All blocks, in the order of their keys."""
        for index, count in enumerate(self.counts):
            for first in range(0, count, self.batch_size):
                yield Block(index, range(first, min(first + self.batch_size, count)))

    def share(self, done: Collection[Key], rank: int, processes: int) -> list[Block]:
        """Every ``processes``-th of the blocks that are not all done, from the ``rank``-th on."""
        waiting = [block for block in self.blocks() if any(key not in done for key in block.keys)]
        return waiting[rank::processes]
