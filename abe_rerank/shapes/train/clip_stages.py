"""The stages of the CLIP-like model's training: the pictures it learns from, their captions, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace

from abe_rerank.shapes.captions import WORDINGS
from abe_rerank.shapes.train.pools import PoolPlan
from abe_rerank.shapes.world import CLOSE_UPS, SCENES, WorldSettings

IMAGE, PATCH, TOKENS = 96, 8, 24
GRID = IMAGE // PATCH
WINDOWS = (3, 4, 5, 6)


@dataclass(frozen=True)
class Share:
    """``batch`` pictures of a pool in each step."""

    pool: PoolPlan
    batch: int


@dataclass(frozen=True)
class Stage:
    """One stage: which pictures it learns from, how many of each kind in a step, and for how long.

    ``windows`` are the odds of the close-ups' sides, ``WINDOWS``. ``distil`` weighs the self-distillation term on the
    scenes, and ``boxes`` is its number of cut-outs per picture.
    """

    name: str
    close_ups: tuple[Share, ...]
    scenes: tuple[Share, ...]
    steps: int
    rate: float
    windows: tuple[float, ...] = (0.1, 0.15, 0.25, 0.5)
    distil: float = 0.0
    boxes: int = 4


CROWDED = replace(SCENES, counts=((1, 0.2), (2, 0.35), (3, 0.2), (4, 0.15), (6, 0.1)))
GROUPS = WorldSettings(
    counts=((3, 0.3), (4, 0.2), (5, 0.2), (6, 0.15), (8, 0.15)),
    diameters=(0.07, 0.24),
    patterned=0.0,
    twins=0.0,
    style=0.6,
    solids=1.3,
)
"""Many small solids in deep shade, as photographs show them."""
TERSE = PoolPlan(CLOSE_UPS, count=60_000, size=max(WINDOWS) * PATCH, style="terse")
WEB = replace(TERSE, style="web", scale=max(WINDOWS) / GRID)
SOME = replace(WORDINGS["web"], drop_object=0.95, drop_size=1.0)
"""Of a group a caption names a part; what is small among many small things is not said."""
PATTERNED = replace(WORDINGS["web"], drop_pattern=0.1)
"""Web-like as ever, but patterns are mostly said: they are the hardest to see."""
SQUAT = replace(WEB, settings=replace(CLOSE_UPS, solids=1.3), count=15_000, first=15_000_000)
STRIPES = replace(WEB, settings=replace(CLOSE_UPS, patterned=0.8), style=PATTERNED, count=20_000, first=18_000_000)
CROWDS = PoolPlan(CROWDED, count=40_000, size=IMAGE, style="web", first=10_000_000)
TABLES = PoolPlan(GROUPS, count=10_000, size=IMAGE, style=SOME, first=16_000_000)
WIDE_TABLES = replace(TABLES, settings=replace(GROUPS, margin=1 / 6), first=17_000_000, wide=True)
STRIPED = PoolPlan(replace(SCENES, patterned=0.9), count=10_000, size=IMAGE, style=PATTERNED, first=19_000_000)
STAGES = (
    Stage("close-ups", (Share(TERSE, 128),), (), steps=3300, rate=6e-4),
    Stage(
        "scenes",
        close_ups=(Share(WEB, 44), Share(SQUAT, 20)),
        scenes=(Share(CROWDS, 40), Share(TABLES, 12), Share(WIDE_TABLES, 12)),
        steps=1200,
        rate=4e-4,
        windows=(0.0, 0.1, 0.2, 0.7),
        distil=4.0,
    ),
    Stage(
        "patterns",
        close_ups=(Share(WEB, 24), Share(SQUAT, 16), Share(STRIPES, 24)),
        scenes=(Share(CROWDS, 32), Share(TABLES, 8), Share(WIDE_TABLES, 8), Share(STRIPED, 16)),
        steps=600,
        rate=3e-4,
        windows=(0.0, 0.1, 0.2, 0.7),
        distil=4.0,
    ),
)
