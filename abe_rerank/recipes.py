"""How pictures are drawn: all of them, one of them, and the course of a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_PICTURES, MOST_STEPS, MOST_AT_ONCE, LARGEST_SIDE = 1_000_000, 10_000, 4096, 8192
"""The most pictures of a prompt, steps of one, pictures in a batch, and pixels of a side: far above what anybody draws.
What is above them is a slip of the keyboard, which would take all memory before it is noticed."""


@dataclass(frozen=True)
class Drawing:
    """How candidates are drawn: ``n`` of them with the seeds ``seed``, ``seed + 1``, ..., ``batch_size`` at once.

    ``arguments`` are those of the pipeline's ``__call__`` besides prompt and generator, its defaults written out;
    ``scheduler`` is the class of its scheduler, None where it has none.
    """

    n: int
    seed: int
    batch_size: int
    arguments: Mapping[str, object]
    device: str
    dtype: str
    scheduler: str | None = None

    @property
    def seeds(self) -> range:
        """The seed of each candidate, in the order of drawing."""
        return range(self.seed, self.seed + self.n)


@dataclass(frozen=True)
class Recipe:
    """Which picture of a prompt is drawn: from the noise of ``seed``, in so many ``steps`` (None: all; else a draft).

    Each (seed, share) of ``renewed`` puts sqrt(1 - share^2) times that noise plus ``share`` times another seed's in its
    place, one after the other. The same recipe gives the same picture, whatever is drawn beside it.
    """

    seed: int
    steps: int | None = None
    renewed: tuple[tuple[int, float], ...] = ()

    @property
    def words(self) -> str:
        """What its file is called: "seed3", "seed3-draft2", "seed3-0.5-of-7"."""
        draft = "" if self.steps is None else f"-draft{self.steps}"
        return f"seed{self.seed}{draft}" + "".join(f"-{share:g}-of-{seed}" for seed, share in self.renewed)


@dataclass(frozen=True)
class Course:
    """How a strategy went: its name and settings, how many pictures and drafts were drawn, in how many seconds, scoring
    included (None where these are told elsewhere), and why it ended."""

    strategy: str
    settings: Mapping[str, object]
    pictures: int
    drafts: int
    seconds: float | None
    ended: str

    @property
    def told(self) -> dict[str, object]:
        """All of it as one mapping, as reports have it."""
        seconds = {} if self.seconds is None else {"seconds": self.seconds}
        counts = {"pictures": self.pictures, "drafts": self.drafts, **seconds, "ended": self.ended}
        return {"name": self.strategy, **self.settings, **counts}
