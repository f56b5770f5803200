"""``abe-rerank show``: a run in the terminal, with the picture in half-block characters where it has colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.options import OUTPUT, Run
from abe_rerank.cli.report import is_evaluation
from abe_rerank.cli.terminal import cosine, say, warn
from abe_rerank.errors import UsageError
from abe_rerank.files import printable, table

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.runs.generated import CandidateRecord, Report

WIDEST = 56
"""Columns of a picture at most; a column is one pixel, a line two."""


def show(
    folder: Run,
    rank: Annotated[
        int | None,
        typer.Option(help="Which image; the best is 1.", show_default="the picked one", rich_help_panel=OUTPUT),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Words only, no picture.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Show a run in the terminal: the picture, what was found in it, all candidates."""
    from rich.console import Console

    from abe_rerank.runs.generated import changed_images, read_generated

    if is_evaluation(folder):
        raise UsageError(f"{folder} is a run of evaluate; see it with abe-rerank summarize or abe-rerank report")
    report, images = read_generated(folder)
    rank = (report.picked or 1) if rank is None else rank
    if not 1 <= rank <= len(images):
        raise UsageError(f"{folder} has images of rank 1 to {len(images)}, not {rank}")
    for name in changed_images(report, images):
        warn(f"{folder / name} is not the image that was scored")
    console = Console(highlight=False)
    say(f"{printable(report.prompt)}\n")
    if not plain and console.is_terminal and console.color_system is not None:
        console.print(half_blocks(images[rank - 1], min(WIDEST, console.width - 2)))
        say("")
    say(account(report, report.candidates[rank - 1]))
    say(f"\n{overview(report)}\n\n{folder / printable(report.candidates[rank - 1].image)}")


def account(report: Report, candidate: CandidateRecord) -> str:
    """One candidate in words: whether it was picked and why, and each pair."""
    from abe_rerank.report.sentences import SIGNS, called, claim, headline, relations, why

    of = f"rank {candidate.rank} of {len(report.candidates)}"
    lines = [f"{called(candidate)}, {of}: {headline(candidate.score)}"]
    if candidate.rank == report.picked:
        lines = [f"picked {lines[0]}", why(report)]
    pairs = [[f"{SIGNS[p.verdict]} {p.verdict}", claim(p), f"margin {cosine(p.margin)}"] for p in candidate.score.pairs]
    rows = table(pairs[0], pairs[1:]).splitlines() if pairs else []
    return "\n".join([*(printable(line) for line in lines), *rows, *map(printable, relations(candidate.score))])


def overview(report: Report) -> str:
    """All candidates, best first: rank, seed, score, and the verdict on each pair."""
    from abe_rerank.report.sentences import SIGNS

    header = ["", "rank", "seed", "score", *(f"{attribute} {thing}" for attribute, thing in report.parse.pairs)]
    rows = []
    for candidate in report.candidates:
        verdicts = [f"{SIGNS[pair.verdict]} {pair.verdict}" for pair in candidate.score.pairs]
        value = "unscored" if candidate.score.value is None else cosine(candidate.score.value)
        cells = verdicts or ["-"] * len(report.parse.pairs)
        chosen = ">" if candidate.rank == report.picked else ""
        rows.append(
            [chosen, str(candidate.rank), "-" if candidate.seed is None else str(candidate.seed), value, *cells]
        )
    return table(header, rows)


def half_blocks(image: Image, columns: int) -> object:
    """The image ``columns`` wide: each character is two pixels, the upper its ink and the lower its ground."""
    import numpy as np
    from PIL.Image import Resampling
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    lines = max(1, round(columns * image.height / image.width / 2))
    pixels = np.asarray(image.convert("RGB").resize((columns, 2 * lines), Resampling.BOX))
    text = Text(no_wrap=True, end="")
    for upper, lower in zip(pixels[0::2].tolist(), pixels[1::2].tolist(), strict=True):
        for ink, ground in zip(upper, lower, strict=True):
            text.append("\u2580", Style(color=Color.from_rgb(*ink), bgcolor=Color.from_rgb(*ground)))
        text.append("\n")
    return text
