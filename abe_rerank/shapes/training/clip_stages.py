"""The stages of the CLIP-like model's training: the pictures it learns from, their captions, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace

from abe_rerank.shapes.training.captions import WORDINGS
from abe_rerank.shapes.training.pools import PoolPlan
from abe_rerank.shapes.world import CLOSE_UPS, SCENES, WorldSettings

IMAGE, PATCH, TOKENS = 96, 8, 24
GRID = IMAGE // PATCH
LARGER = 128


@dataclass(frozen=True)
class Share:
    """``batch`` pictures of a pool in each step; close-ups whose sizes are told are not ``scaled`` to other windows."""

    pool: PoolPlan
    batch: int
    scaled: bool = True


@dataclass(frozen=True)
class Stage:
    """One stage: which pictures it learns from, how many of each kind in a step, and for how long.

    ``alone`` are close-ups whose captions name one thing alone, each share with a contrastive loss of its own.
    ``course`` is the number of steps that the learning rate's cosine and the running average are laid out for, None the
    stage's own.
    ``image`` is the side of a scene in pixels. ``windows`` are the sides of the close-ups in patches with their odds,
    the largest last. ``distil`` weighs the self-distillation term on the scenes, ``boxes`` is its number of cut-outs
    per picture. ``half`` computes in bfloat16; weights, their running average and losses stay in float32. ``keeps`` is
    the share of the weights from before the stage in the mean that it ends with (WiSE-FT, arXiv 2109.01903).
    ``pools`` has the model's pooling of a box of patches imitate the cut-out, too, as verdicts read windows; ``warps``
    bends half of the close-ups, and ``muon`` takes that optimizer in the place of AdamW.
    """

    name: str
    close_ups: tuple[Share, ...]
    scenes: tuple[Share, ...]
    steps: int
    rate: float
    alone: tuple[Share, ...] = ()
    course: int | None = None
    windows: tuple[tuple[int, float], ...] = ((3, 0.1), (4, 0.15), (5, 0.25), (6, 0.5))
    distil: float = 0.0
    boxes: int = 4
    image: int = IMAGE
    half: bool = False
    keeps: float = 0.0
    pools: bool = False
    warps: bool = False
    muon: bool = False

    @property
    def grid(self) -> int:
        """Patches along a side of a scene."""
        return self.image // PATCH

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of the close-ups in patches."""
        return tuple(side for side, _ in self.windows)


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
TERSE = PoolPlan(CLOSE_UPS, count=60_000, size=6 * PATCH, style="terse")
WEB = replace(TERSE, style="web", scale=6 / GRID)
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
FEW_WORDS = replace(WORDINGS["web"], drop_colour=0.65, drop_shape=0.3, drop_pattern=0.08, apart=0.0)
"""Patterns are mostly said, colours mostly not."""
ONE_WORD = replace(FEW_WORDS, drop_colour=1.0, drop_shape=1.0, drop_size=1.0, drop_pattern=0.0, opening=0.0, place=0.0)
"""Patterns alone ("a striped thing")."""
NOUNS = replace(WORDINGS["web"], drop_colour=0.6)
NEAR = PoolPlan(CLOSE_UPS, count=40_000, size=8 * PATCH, style=NOUNS, first=30_000_000, scale=8 * PATCH / LARGER)
NEAR_SQUAT = replace(NEAR, settings=SQUAT.settings, count=12_000, first=31_000_000)
NEAR_STRIPES = replace(NEAR, settings=STRIPES.settings, style=FEW_WORDS, count=30_000, first=32_000_000)
TEXTURES = replace(
    NEAR,
    settings=replace(CLOSE_UPS, counts=((1, 1.0),), patterned=0.85),
    style=ONE_WORD,
    count=20_000,
    first=37_000_000,
)
SOLID = replace(CLOSE_UPS, counts=((1, 1.0),), patterned=0.0, solids=1.3, bodies=True)
NOUN = replace(ONE_WORD, drop_shape=0.0, drop_pattern=1.0, synonym=0.04)
"""Shapes alone ("a cylinder")."""
BODIES = replace(NEAR, settings=SOLID, style=NOUN, count=20_000, first=40_000_000)
WIDE_BODIES = replace(
    BODIES,
    settings=replace(SOLID, margin=1 / 6, cut=0.0, diameters=(0.25, 0.66)),
    count=15_000,
    first=41_000_000,
    wide=True,
)
LARGE_CROWDS = replace(CROWDS, count=40_000, size=LARGER, first=33_000_000)
LARGE_TABLES = replace(TABLES, count=8_000, size=LARGER, first=34_000_000)
LARGE_WIDE_TABLES = replace(WIDE_TABLES, count=8_000, size=LARGER, first=35_000_000)
LARGE_STRIPED = replace(STRIPED, style=FEW_WORDS, count=20_000, size=LARGER, first=36_000_000)
GROUPED = replace(GROUPS, diameters=(0.06, 0.22), bodies=True)
LARGE_GROUPS = replace(LARGE_TABLES, settings=GROUPED, count=10_000, first=42_000_000)
LARGE_WIDE_GROUPS = replace(LARGE_WIDE_TABLES, settings=replace(GROUPED, margin=1 / 6), count=10_000, first=43_000_000)
ANY_SHAPE = replace(CLOSE_UPS, counts=((1, 1.0),), cut=0.1)
NAMED = replace(BODIES, settings=ANY_SHAPE, count=30_000, first=50_000_000)
NEW_NEAR = replace(NEAR, count=16_000, first=52_000_000)
NEW_NEAR_STRIPES = replace(NEAR_STRIPES, count=8_000, first=53_000_000)
NEW_TEXTURES = replace(TEXTURES, count=8_000, first=54_000_000)
NEW_BODIES = replace(BODIES, count=10_000, first=55_000_000)
NEW_CROWDS = replace(LARGE_CROWDS, count=16_000, first=56_000_000)
NEW_GROUPS = replace(LARGE_GROUPS, count=4_000, first=57_000_000)
NEW_STRIPED = replace(LARGE_STRIPED, count=6_000, first=58_000_000)
FEW_NAMED = replace(NAMED, settings=replace(ANY_SHAPE, style=0.5, patterned=0.2), count=10_000, first=51_000_000)
UNSIZED = replace(NOUNS, drop_size=1.0)
SIZE_SAID = replace(NOUNS, drop_colour=0.8, drop_shape=0.4, drop_pattern=0.9, drop_size=0.0, opening=0.0)
SIZED = replace(
    NEAR, settings=replace(CLOSE_UPS, diameters=(0.2, 0.95)), style=SIZE_SAID, count=24_000, first=70_000_000
)
UNSIZED_NEAR = replace(NEAR, style=UNSIZED, count=16_000, first=71_000_000)
MORE_STRIPES = replace(NEAR_STRIPES, style=replace(FEW_WORDS, drop_size=1.0), count=8_000, first=72_000_000)
MORE_TEXTURES = replace(TEXTURES, count=8_000, first=73_000_000)
MORE_BODIES = replace(BODIES, count=10_000, first=74_000_000)
MORE_NAMED = replace(NAMED, count=40_000, first=75_000_000)
MORE_CROWDS = replace(LARGE_CROWDS, count=20_000, first=76_000_000)
MORE_GROUPS = replace(LARGE_GROUPS, count=3_000, first=77_000_000)
MORE_STRIPED = replace(LARGE_STRIPED, count=6_000, first=78_000_000)
LARGER_WINDOWS = ((3, 0.03), (4, 0.07), (5, 0.1), (6, 0.2), (7, 0.2), (8, 0.4))
NAMES = Stage(
    "names",
    close_ups=(Share(NEW_NEAR, 24), Share(NEW_NEAR_STRIPES, 8)),
    scenes=(Share(NEW_CROWDS, 12), Share(NEW_GROUPS, 2), Share(NEW_STRIPED, 4)),
    alone=(Share(NEW_TEXTURES, 12), Share(NEW_BODIES, 16), Share(NAMED, 96), Share(FEW_NAMED, 24)),
    steps=1100,
    rate=4e-4,
    windows=((2, 0.02), (3, 0.1), (4, 0.2), (5, 0.2), (6, 0.2), (7, 0.1), (8, 0.18)),
    distil=4.0,
    boxes=2,
    image=LARGER,
    half=True,
    pools=True,
    warps=True,
    muon=True,
    keeps=0.25,
)
STAGES = (
    Stage("close-ups", (Share(TERSE, 128),), (), steps=3300, rate=6e-4),
    Stage(
        "scenes",
        close_ups=(Share(WEB, 44), Share(SQUAT, 20)),
        scenes=(Share(CROWDS, 40), Share(TABLES, 12), Share(WIDE_TABLES, 12)),
        steps=1200,
        rate=4e-4,
        windows=((3, 0.0), (4, 0.1), (5, 0.2), (6, 0.7)),
        distil=4.0,
    ),
    Stage(
        "patterns",
        close_ups=(Share(WEB, 24), Share(SQUAT, 16), Share(STRIPES, 24)),
        scenes=(Share(CROWDS, 32), Share(TABLES, 8), Share(WIDE_TABLES, 8), Share(STRIPED, 16)),
        steps=600,
        rate=3e-4,
        windows=((3, 0.0), (4, 0.1), (5, 0.2), (6, 0.7)),
        distil=4.0,
    ),
    Stage(
        "larger",
        close_ups=(Share(NEAR, 28), Share(NEAR_SQUAT, 12), Share(NEAR_STRIPES, 24)),
        scenes=(Share(LARGE_CROWDS, 28), Share(LARGE_TABLES, 6), Share(LARGE_WIDE_TABLES, 6), Share(LARGE_STRIPED, 24)),
        steps=600,
        rate=4e-4,
        course=1900,
        windows=LARGER_WINDOWS,
        distil=4.0,
        image=LARGER,
        half=True,
    ),
    Stage(
        "textures",
        close_ups=(Share(NEAR, 32), Share(NEAR_SQUAT, 12), Share(NEAR_STRIPES, 12)),
        scenes=(Share(LARGE_CROWDS, 32), Share(LARGE_TABLES, 6), Share(LARGE_WIDE_TABLES, 6), Share(LARGE_STRIPED, 20)),
        alone=(Share(TEXTURES, 24),),
        steps=1000,
        rate=4e-4,
        windows=LARGER_WINDOWS,
        distil=4.0,
        image=LARGER,
        half=True,
    ),
    Stage(
        "solids",
        close_ups=(Share(NEAR, 32), Share(NEAR_SQUAT, 12), Share(NEAR_STRIPES, 12)),
        scenes=(
            Share(LARGE_CROWDS, 24),
            Share(LARGE_GROUPS, 14),
            Share(LARGE_WIDE_GROUPS, 14),
            Share(LARGE_STRIPED, 12),
        ),
        alone=(Share(TEXTURES, 16), Share(BODIES, 24), Share(WIDE_BODIES, 24)),
        steps=700,
        rate=4e-4,
        windows=((2, 0.03), *LARGER_WINDOWS[:-1], (8, 0.37)),
        distil=4.0,
        image=LARGER,
        half=True,
        keeps=0.5,
    ),
    NAMES,
    replace(
        NAMES,
        name="sizes",
        close_ups=(Share(UNSIZED_NEAR, 24), Share(MORE_STRIPES, 8)),
        scenes=(Share(MORE_CROWDS, 14), Share(MORE_GROUPS, 2), Share(MORE_STRIPED, 4)),
        alone=(
            Share(MORE_TEXTURES, 12),
            Share(MORE_BODIES, 12),
            Share(MORE_NAMED, 96),
            Share(SIZED, 24, scaled=False),
        ),
        steps=1000,
    ),
)
TWIN_STAGES = (
    STAGES[0],
    replace(STAGES[1], distil=0.0),
    replace(STAGES[5], distil=0.0, steps=1000, keeps=0.0),
)
"""The twin without self-distillation: the first two stages, and the mix of the sixth for longer."""
