"""A run of evaluation machinery that is killed at each of its writes in turn, and resumed; prints how often.

Run by ``test_evaluation_journal.py`` as a process of its own that never loads torch, so that it may fork. A child kills
itself by SIGKILL before or after its k-th sync, rename or truncation; the next one finishes the run. For every k the
files must be those of an undisturbed run.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
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
    state = begin(folder, RECORD, b"prompts\n", plan)
    if not state.complete:
        done = work(folder, plan, Squares(folder), Level(), state, World(0, 1, None))
        finish(folder, done)


def in_child(work: Callable[[], None]) -> int:
    """The exit status of a child that does the work."""
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the child ends soon
        try:
            work()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def killed_at(moment: int, work: Callable[[], None]) -> None:
    """Do the work, and die by SIGKILL when the ``moment``-th sync, rename or truncation begins or has ended."""
    count = 0

    def dying(function):
        def wrapped(*arguments):
            nonlocal count
            for step in (lambda: None, lambda: function(*arguments)):
                result = step()
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    os.fsync, os.truncate, os.replace = dying(os.fsync), dying(os.truncate), dying(os.replace)
    Path.replace = dying(Path.replace)
    work()


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def try_moment(moment: int, root: Path, plan: Plan) -> bool:
    """Kill a run at a moment, and the next ones early; compare what a last one leaves. False if it was not killed."""
    expected, folder = content(root / "undisturbed"), root / "killed"
    status = in_child(lambda: killed_at(moment, lambda: run(folder, plan)))
    if not os.WIFSIGNALED(status):
        assert status == 0, moment
        return False
    for early in (1, 3, 8):
        in_child(lambda: killed_at(early, lambda: run(folder, plan)))  # noqa: B023 - done at once
    assert in_child(lambda: run(folder, plan)) == 0, moment
    assert content(folder) == expected, moment
    shutil.rmtree(folder)
    return True


def main(root: Path, plan: Plan) -> None:
    run(root / "undisturbed", plan)
    moment = 1
    while try_moment(moment, root, plan):
        moment += 1
    print(moment - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), DRAFTS if "drafts" in sys.argv else PLAN)
