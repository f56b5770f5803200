"""How well regions bind on a backbone that nothing was tuned on: readouts, rules and units side by side.

``python -m abe_rerank.benchmarks.checkout.region_reading --backbone X``: colour swaps and replacements on the shapes
world's choosing split, by the global score, by ABE at its defaults, by rules without a weight to tune over the
windows of each region plan, and by ABE over these windows with one logit for its softness.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from torch import Tensor, einsum

from abe_rerank.backbones import DualEncoder, ImageFeatures, load_backbone
from abe_rerank.benchmarks.binding_scenes import TASKS, twins
from abe_rerank.benchmarks.cases import judge
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.clip import ClipScorer
from abe_rerank.scoring.phrase_table import PromptTable
from abe_rerank.scoring.terms import AbeSettings
from abe_rerank.types import Spec

MEASURED = ("colours swapped, 2", "colours swapped, 3", "shape replaced, 2", "colour replaced, 2")
PLANS = tuple(f"regions {side}/0.125/{depth}" for side in (0.375, 0.5) for depth in (0.25, 0.5, 0.75, 1))
ABE_RULES: dict[str, AbeSettings] = {
    "ABE, any value, best window": AbeSettings(competition=1.0),
    "ABE, any value, soft": AbeSettings(competition=1.0, region="soft"),
    "ABE, phrase, soft": AbeSettings(competition=1.0, region="soft", region_query="phrase"),
}
"""ABE over windows: how an object's region is found, by its noun with any value in play or by the whole phrase."""
_FLOOR = -1e4


def best_windows(features: ImageFeatures, table: PromptTable, scale: float) -> Tensor:
    """Mean over the objects of the maximum over windows, plus the global cosine, [n, t]: times ``scale``."""
    return _objects(_cosines(features, table).amax(dim=1), table) * scale + _global(features, table) * scale


def likely_windows(features: ImageFeatures, table: PromptTable, scale: float) -> Tensor:
    """The same with the logarithm of the mean over windows of exp(scale · cosine) in place of the maximum, [n, t].

    exp(scale · cosine) is what the model was trained to make the odds of image and text; ours: a region of unknown
    place is a mixture of the windows. Nothing here depends on how far apart a model's cosines lie.
    """
    odds = (_cosines(features, table) * scale).logsumexp(dim=1) - features.mask.sum(dim=1).log()[:, None, None]
    return _objects(odds, table) + _global(features, table) * scale


RULES: dict[str, Callable[[ImageFeatures, PromptTable, float], Tensor]] = {
    "maximum": best_windows,
    "mixture": likely_windows,
}


def _cosines(features: ImageFeatures, table: PromptTable) -> Tensor:
    """Of each window with each object's phrase: [n, w, t, k]."""
    cosines = einsum("nwd,tkd->nwtk", features.patches, table.queries[:, :, 0])
    return cosines.masked_fill(~features.mask[:, :, None, None], _FLOOR)


def _global(features: ImageFeatures, table: PromptTable) -> Tensor:
    return features.global_ @ table.prompts.T


def _objects(values: Tensor, table: PromptTable) -> Tensor:
    """The mean over each prompt's objects, [n, t] of [n, t, k]."""
    return values.masked_fill(~table.object_mask, 0.0).sum(dim=-1) / table.object_mask.sum(dim=-1)


@dataclass(frozen=True)
class WindowScorer:
    """A rule over the windows of one region plan; phrases as :class:`AbeScorer` reads them, objects in full."""

    backbone: DualEncoder
    patch_readout: str
    rule: Callable[[ImageFeatures, PromptTable, float], Tensor]

    def prepare(self, specs: Sequence[Spec]) -> PromptTable:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return AbeScorer(self.backbone, AbeSettings(region_query="phrase")).table(specs)[1]

    def score_features(self, features: ImageFeatures, prepared: PromptTable) -> Tensor:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return self.rule(features, prepared, self.backbone.logit_scale)


def scorers(backbone: DualEncoder, plans: Sequence[str]) -> dict[str, Any]:
    """What is measured, by name."""
    found: dict[str, Any] = {"global score": ClipScorer(backbone), "ABE": AbeScorer(backbone)}
    for plan in plans:
        for name, rule in RULES.items():
            found[f"{plan}, {name}"] = WindowScorer(backbone, plan, rule)
        for name, settings in ABE_RULES.items():
            in_units = replace(settings, patch_readout=plan, softness=1.0)
            found[f"{plan}, {name}"] = AbeScorer(backbone, in_units)
    return found


def measure(backbone: DualEncoder, scenes: int, plans: Sequence[str] = PLANS) -> dict[str, dict[str, float]]:
    """For each scorer, and each task of MEASURED, the share of pictures that prefer their own caption."""
    table: dict[str, dict[str, float]] = {}
    for task in TASKS:
        if task.name in MEASURED:
            cases = (pair.case() for pair in twins(task, "choose", scenes))
            for name, judged in judge(backbone, scorers(backbone, plans), cases).items():
                table.setdefault(name, {})[task.name] = sum(judged.right) / len(judged.right)
    return table


def main(
    backbone: Annotated[str | None, typer.Option(help="folder or name, nothing for the built-in one")] = None,
    scenes: int = 100,
    plans: Annotated[list[str] | None, typer.Option("--plan", help="region plans in place of the usual ones")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Measures regions on a backbone; a line for each scorer."""
    found = measure(load_backbone(backbone), scenes, plans or PLANS)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    width = max(map(len, found))
    typer.echo(f"{'':{width}}  {'  '.join(MEASURED)}")
    for name, rates in found.items():
        typer.echo(f"{name:{width}}  " + "  ".join(f"{rates[task]:{len(task)}.3f}" for task in MEASURED))


if __name__ == "__main__":
    typer.run(main)
