"""An evaluation run of grey squares: drawn and scored with no model, so that nothing heavy is loaded."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from abe_rerank.drawing.strategies.drafts import Drafts
from abe_rerank.evaluation.plan import Plan
from abe_rerank.evaluation.work import World, begin, finish, work
from abe_rerank.evaluation.workload import Taken
from abe_rerank.files import write_whole
from abe_rerank.recipes import Recipe
from abe_rerank.runs.evaluated import Result, RunRecord
from abe_rerank.runs.records import ModelRecord
from abe_rerank.suites import SuitePrompt

PROMPTS = tuple(SuitePrompt(str(k), f"prompt {k}") for k in range(2))
PLAN = Plan(PROMPTS, (3, 1), batch_size=2)
DRAFTS = Plan.following(Drafts(n=3, seed=5, draft_steps=1, keep=2), PROMPTS, 2, even=False)
RECORD = RunRecord(
    created="now",
    suite="s",
    prompts=2,
    prompts_sha256="",
    n=3,
    scorer="s",
    judge=None,
    oracle=False,
    text_to_image=None,
    backbone=ModelRecord(name="b", kind="b", weights=""),
    settings={},
    versions={},
    command="",
)


class Squares:
    """Draws a grey square whose level is that of its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, block, prompt, wanted):
        taken = []
        recipes = block.recipes or [Recipe(candidate) for candidate in block.candidates]
        for candidate, recipe in zip(block.candidates, recipes, strict=True):
            image = Image.new("RGB", (2, 2), (16 * block.index + candidate,) * 3)
            path = f"images/{block.index}-{candidate}.bmp"
            if candidate in wanted:
                write_whole(self.folder / path, image.tobytes())
            taken.append(Taken(path, recipe.seed, image, steps=recipe.steps))
        return taken


class Level:
    """Scores an image by its level."""

    def results(self, block, prompt, taken):
        return [
            Result(
                index=block.index,
                candidate=candidate,
                prompt_id=prompt.id,
                category="",
                prompt=prompt.prompt,
                seed=one.seed,
                steps=one.steps,
                image=one.path,
                value=float(one.image.getpixel((0, 0))[0]),
                status="scored",
                reason=None,
                global_score=None,
                local=None,
                binding_difference=None,
                pairs=(),
            )
            for candidate, one in zip(block.candidates, taken, strict=True)
        ]


def run(folder: Path, plan: Plan = PLAN) -> None:
    """Do the run, or what is left of it."""
    state = begin(folder, RECORD, b"prompts\n", plan)
    if not state.complete:
        done = work(folder, plan, Squares(folder), Level(), state, World(0, 1, None))
        finish(folder, done)


def every_byte(folder: Path) -> dict[str, bytes]:
    """The bytes of each file by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
