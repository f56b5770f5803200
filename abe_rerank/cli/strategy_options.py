"""The options of ``generate`` that spend the images otherwise than on best of N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.options import Part
from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from abe_rerank.drawing.strategies import Strategy

STRATEGY = "How to spend the images"


@dataclass(frozen=True)
class StrategyOptions:
    """Drafts or until bound; neither is best of N."""

    draft_steps: Annotated[
        int | None,
        typer.Option(
            help="Draw all N in so few steps first, then only the best of them in full.",
            min=1,
            show_default="no drafts",
            rich_help_panel=STRATEGY,
        ),
    ] = None
    keep: Annotated[
        int | None,
        typer.Option(
            help="How many drafts to draw in full; with --draft-steps.",
            min=1,
            show_default="2",
            rich_help_panel=STRATEGY,
        ),
    ] = None
    until_bound: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Draw in batches until every pair of an image has probability P, N images at most.",
            show_default="all N",
            rich_help_panel=STRATEGY,
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        typer.Option(
            help="Begin no batch after so many seconds; with --until-bound.",
            show_default="no limit",
            rich_help_panel=STRATEGY,
        ),
    ] = None

    @property
    def parts(self) -> list[Part]:
        """What is asked for, for a command line."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return [(f"--{name.replace('_', '-')}", value) for name, value in given.items()]

    def strategy(self, n: int, seed: int) -> Strategy | None:
        """What they ask for; None for best of N. Raises UsageError for options that do not go together."""
        from abe_rerank.drawing.strategies import make_strategy

        if self.draft_steps is not None and self.until_bound is not None:
            raise UsageError("--draft-steps and --until-bound are two strategies; give one of them")
        if self.keep is not None and self.draft_steps is None:
            raise UsageError("--keep says how many drafts are drawn in full; give --draft-steps, too")
        if self.max_seconds is not None and self.until_bound is None:
            raise UsageError("--max-seconds ends --until-bound; give that, too")
        if self.draft_steps is not None:
            return make_strategy("drafts", n, seed, draft_steps=self.draft_steps, keep=self.keep)
        if self.until_bound is not None:
            return make_strategy("until-bound", n, seed, probability=self.until_bound, max_seconds=self.max_seconds)
        return None
