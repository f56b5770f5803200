"""What the scorers cost beside each other, in one run, and that powerset alignment's cost is linear in its regions.

``abe-rerank benchmark costs``. A picture's cost is that of scoring it for one prompt, encoding it included; a pair's is
that of one more prompt for a picture that was scored already. On a CPU it is the time this process computed, so that
others on the machine count less; on a GPU it is the time on the clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from abe_rerank.files import table
from abe_rerank.parsing import parse
from abe_rerank.scoring.powerset import node_similarities, regions_to_tree, tree_to_regions

if TYPE_CHECKING:
    from abe_rerank.scoring import Scorer

PROMPTS = tuple(
    f"a {a} {x} and a {b} {y}"
    for a, b, x, y in (
        *(("yellow", "red", "cylinder", "cube"), ("blue", "green", "ring", "star"), ("pink", "white", "cone", "heart")),
        *(("red", "black", "ring", "cross"), ("cyan", "orange", "cube", "disc"), ("gray", "brown", "star", "cone")),
        *(("green", "yellow", "heart", "cube"), ("purple", "blue", "disc", "ring"), ("white", "red", "cube", "star")),
    )
)
IMAGES, REPEATS = 16, 5
REGIONS = (4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Cost:
    """Milliseconds for each picture, and for each further pair of picture and prompt; medians of the repeats."""

    scorer: str
    image: float
    pair: float


@dataclass(frozen=True)
class SetCost:
    """Milliseconds of both aggregators, forward and backward, for a batch of 64 pictures and 64 prompts of 5 nodes."""

    regions: int
    milliseconds: float


def costs(scorers: Mapping[str, Scorer], images: int = IMAGES, repeats: int = REPEATS) -> list[Cost]:
    """The cost of each scorer on pictures of noise, not seen before."""
    rng, specs = np.random.default_rng(0), [parse(prompt) for prompt in PROMPTS]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in scorers}
    for turn in range(repeats + 1):
        for name, scorer in scorers.items():
            pictures = [Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in range(images)]
            cpu = scorer.backbone.device.type == "cpu"
            one = seconds(lambda s=scorer, p=pictures: s.score(p, specs[:1]), cpu)  # type: ignore[misc]
            all_ = seconds(lambda s=scorer, p=pictures: s.score(p, specs), cpu)  # type: ignore[misc]
            if turn:  # the first run warms up
                found[name].append((one / images, (all_ - one) / images / (len(specs) - 1)))
    return [Cost(name, *(1000 * float(m) for m in np.median(rows, axis=0))) for name, rows in found.items()]


def set_costs(regions: Sequence[int] = REGIONS, repeats: int = REPEATS) -> list[SetCost]:
    """The cost of the aggregators for growing numbers of regions; exhaustive sets of 256 would be 2^256."""
    generator = torch.Generator().manual_seed(0)
    nodes, mask = torch.randn(64, 5, 128, generator=generator), torch.ones(64, 5, dtype=torch.bool)
    found = []
    for m in regions:
        phi = torch.randn(64, m, 128, generator=generator).requires_grad_()

        def both(phi: torch.Tensor = phi) -> None:
            similar = node_similarities(phi, nodes)
            (tree_to_regions(similar, mask, 0.001) + regions_to_tree(similar, mask, 0.1, 0.75)).sum().backward()

        spent = [seconds(both, cpu=True) for _ in range(repeats + 1)]
        found.append(SetCost(m, 1000 * float(np.median(spent[1:]))))
    return found


def seconds(work: Callable[[], object], cpu: bool) -> float:
    """How long it takes."""
    clock = time.process_time if cpu else time.perf_counter
    start = clock()
    work()
    return clock() - start


def main(scorers: Mapping[str, Scorer], json_output: bool = False) -> str:
    """Both tables, as text or JSON."""
    each, sets = costs(scorers), set_costs()
    if json_output:
        parts = {"scorers": [asdict(c) for c in each], "powerset": [asdict(c) for c in sets]}
        return json.dumps({"schema_version": 1, "benchmark": "costs", **parts})
    rows = [[c.scorer, f"{c.image:.2f}", f"{c.pair:.3f}"] for c in each]
    more = [[str(c.regions), f"{c.milliseconds:.1f}", f"{c.milliseconds / c.regions:.3f}"] for c in sets]
    head = f"{IMAGES} pictures of 128 x 128, prompts of two objects, median of {REPEATS} runs, milliseconds"
    return (
        f"{head}\n{table(['scorer', 'a picture', 'one more pair'], rows)}\n\n"
        "powerset aggregators, forward and backward, 64 pictures x 64 prompts of 5 nodes, milliseconds\n"
        f"{table(['regions', 'all', 'by region'], more)}"
    )
