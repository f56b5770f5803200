"""What is promised of backbones that nobody tuned, on a trained one of CLIP's kind: ABE at its defaults binds there."""

from pathlib import Path

import numpy as np
import pytest

from abe_rerank.backbones import load_backbone
from abe_rerank.benchmarks.preferences import judge_both_ways, tasks
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.clip import ClipScorer

FOLDER = Path(__file__).parents[1] / "abe_rerank" / "benchmarks" / "checkout" / "data" / "clip-type"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the proving backbone is in a checkout alone")


def test_attributes_are_bound_where_the_global_score_is_blind():
    backbone = load_backbone(FOLDER, "cpu")
    scorers = {"abe": AbeScorer(backbone), "global": ClipScorer(backbone)}
    drawn = tasks(foreign=False)
    right = {
        name: judge_both_ways(backbone, scorers, drawn[name]("choose", 16))
        for name in ("colours swapped, 2", "colours swapped, 3", "shape replaced, 2", "colour replaced, 2")
    }
    share = {name: {who: np.mean(found) for who, found in task.items()} for name, task in right.items()}
    assert all(share[name]["abe"] >= 0.85 for name in share if "swapped" in name), share
    assert all(share[name]["global"] <= 0.7 for name in share if "swapped" in name), share
    assert all(share[name]["abe"] >= share[name]["global"] - 0.1 for name in share), share
