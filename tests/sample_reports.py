"""Rankings and reports made by hand: one pair, bound in the best image, swapped in the next, and so on."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from PIL import Image

from abe_rerank.report.views import write_views
from abe_rerank.runs.generated import Commands, RunFacts, build_report, write_generated
from abe_rerank.runs.records import ModelRecord
from abe_rerank.types import Attribute, Candidate, ObjectPhrase, PairScore, Ranking, Region, Score, Spec

EVIL = '<script>alert(1)</script> & "x" </script><img src=x onerror=alert(2)> {{ 7 * 7 }} \x1b[31m a red cube'
GRID = (4, 6)


def ranking_of(prompt, values=(0.5, 0.2, None)):
    """A ranking of images of 12 x 8 pixels with seeds 0, 1, ...; unscored where a value is None."""
    start = prompt.rindex("red")
    red = Attribute("red", (start, start + 3), "colour")
    cube = ObjectPhrase("cube", (start + 4, start + 8), (start, start + 8), (red,))
    spec = Spec(prompt, (cube,))
    rng = np.random.default_rng(0)
    candidates = []
    for k, value in enumerate(values):
        weights = rng.random(GRID)
        region = Region(weights / weights.sum(), (0.25, 0.5, 0.75, 1.0))
        contrast = rng.normal(0, 0.1, GRID)
        margin = float((region.weights * contrast).sum())
        verdict = ("bound", "swapped", "unsure", "not found")[k % 4]
        pair = PairScore(red, cube, 0.3, "blue", margin, region, verdict, 0.9, 0.04, contrast)
        image = Image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8))
        if value is None:
            score = Score(None, "unscored", "abe 1", reason="painted over")
        else:
            score = Score(value, "scored", "abe 1", 0.2, 0.1, 0.1, (pair,))
        candidates.append(Candidate(image, score, seed=k))
    return Ranking(prompt, spec, tuple(candidates), {"n": len(values), "seed": 0, "scorer": "abe 1"})


def report_of(ranking):
    """The report of a ranking, with facts of a run that never was."""
    model = ModelRecord(name="built-in", kind="StableDiffusionPipeline", weights="0123456789abcdef")
    facts = RunFacts(
        text_to_image=model,
        backbone=model,
        commands=Commands(
            run="abe-rerank generate x",
            redraw="abe-rerank generate --n 1 --seed 0 'a red   cube'",
            rescore="abe-rerank score x",
        ),
        created=datetime(2026, 1, 2, tzinfo=UTC),
        seconds={"loading": 1.0},
        warnings=("no token for moon",),
    )
    return build_report(ranking, facts)


def run_folder_of(ranking, folder, **options):
    """Write the run folder of a ranking into ``folder``, and give its report."""
    report = report_of(ranking)
    folder.mkdir(exist_ok=True)
    images = [candidate.image for candidate in ranking.candidates]
    write_generated(folder, report, images)
    write_views(folder, report, images, **options)
    return report
