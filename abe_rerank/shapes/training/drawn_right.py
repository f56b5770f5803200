"""How often a text-to-image model draws what the suites ask for, on prompts made with another seed: for choosing.

Steps, guidance and weights are chosen by these numbers; what is reported is measured on the suites' own prompts. Left
and right, which no suite judges, are judged here by the places of what the oracle finds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

from abe_rerank import builtin
from abe_rerank.parsing import parse
from abe_rerank.shapes.oracle import Detection, Oracle, is_right
from abe_rerank.shapes.wishes import asked_of
from abe_rerank.shapes.world import COLOURS, SHAPES
from abe_rerank.suites.generators.shapes_prompts import suite

BESIDE = "beside"
IN_A_ROW = 12
FRAME = 2
"""Width in pixels of the frame around a picture of the sheet: green for right, red for wrong."""


def choosing_prompts(seed: int, number: int) -> dict[str, list[str]]:
    """``number`` prompts of every category of the shapes suite, and as many of things left and right of each other."""
    prompts: dict[str, list[str]] = {}
    for prompt in suite(seed):
        prompts.setdefault(str(prompt.category), []).append(prompt.prompt)
    rng = np.random.default_rng(seed)
    prompts[BESIDE] = []
    for side in ("left", "right") * ((number + 1) // 2):
        (a, b), (first, second) = rng.permutation(COLOURS)[:2], rng.permutation(SHAPES)[:2]
        prompts[BESIDE].append(f"{_article(a)} {a} {first} to the {side} of {_article(b)} {b} {second}")
    return {category: texts[:number] for category, texts in prompts.items()}


def is_right_and_beside(seen: Sequence[Detection], prompt: str) -> bool:
    """Whether the picture shows what is asked for, the first thing on the side of the second that the prompt names."""
    spec = parse(prompt)
    if not is_right(seen, spec):
        return False
    first, second = (next(d for d in seen if wanted.matches(d)) for wanted in asked_of(spec))
    return (first.box[0] < second.box[0]) == ("left" in prompt.split())


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def drawn(pipeline: Any, prompts: Sequence[str], batch: int = 16, **call: float) -> list[Image.Image]:
    """A picture of each prompt, the k-th with seed 1000 + k; fewer than ``batch`` at once at the end."""
    images: list[Image.Image] = []
    for first in range(0, len(prompts), batch):
        some = list(prompts[first : first + batch])
        seeds = [torch.Generator().manual_seed(1000 + first + k) for k in range(len(some))]
        images += pipeline(some, generator=seeds, **call).images
    return images


def main(
    model: Annotated[Path | None, typer.Option(help="pipeline folder; else the built-in one")] = None,
    number: Annotated[int, typer.Option(min=1, help="prompts of each category")] = 24,
    seed: Annotated[int, typer.Option(help="of the prompts; not the suite's")] = 77,
    steps: Annotated[int | None, typer.Option(min=1, help="else the model's own")] = None,
    guidance: Annotated[float | None, typer.Option(help="else the model's own")] = None,
    sheet: Annotated[Path | None, typer.Option(help="where a sheet of the pictures goes, twelve in a row")] = None,
) -> None:
    """Draws one picture of each prompt and prints the share that is right, as JSON by category."""
    from diffusers import DiffusionPipeline

    folder = model or builtin.path("text-to-image")
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    call = json.loads((folder / "sampling.json").read_text())
    call |= {} if steps is None else {"num_inference_steps": steps}
    call |= {} if guidance is None else {"guidance_scale": guidance}
    oracle, shares, rows = Oracle.load(), {}, []
    for category, prompts in choosing_prompts(seed, number).items():
        images = drawn(pipeline, prompts, **call)
        found = oracle.detect(images)
        judge = is_right_and_beside if category == BESIDE else lambda seen, text: is_right(seen, parse(text))
        right = [judge(seen, text) for seen, text in zip(found, prompts, strict=True)]
        shares[category] = round(sum(right) / len(right), 3)
        framed = [_framed(image, good) for image, good in zip(images, right, strict=True)]
        rows += [framed[first : first + IN_A_ROW] for first in range(0, len(framed), IN_A_ROW)]
    typer.echo(json.dumps(shares))
    if sheet:
        blank = np.full_like(rows[0][0], 255)
        filled = [[*row, *[blank] * (IN_A_ROW - len(row))] for row in rows]
        Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in filled])).save(sheet)


def _framed(image: Image.Image, right: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    framed = Image.new("RGB", (image.width + 2 * FRAME, image.height + 2 * FRAME), "lime" if right else "red")
    framed.paste(image, (FRAME, FRAME))
    return np.asarray(framed)
