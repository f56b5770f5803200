"""What ``abe-rerank generate`` is asked, how it spends its images, and the commands that ask for it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.options import Part, command_line
from abe_rerank.errors import UsageError

if TYPE_CHECKING:
    from abe_rerank.drawing.strategies import Strategy
    from abe_rerank.evaluation.one_prompt import DrawnPrompt, Order
    from abe_rerank.runs.evaluated import Result
    from abe_rerank.runs.generated import Commands, RunFacts

STRATEGY = "How to spend the images"


@dataclass(frozen=True)
class StrategyOptions:
    """Drafts, until bound or search; none of them is best of N."""

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
            show_default="1",
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
            help="Begin no batch after so many seconds, counted anew where a run goes on; with --until-bound.",
            show_default="no limit",
            rich_help_panel=STRATEGY,
        ),
    ] = None

    search: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Draw four at a time, each time around the best so far, with this share of its noise renewed (0.5).",
            show_default="no search",
            rich_help_panel=STRATEGY,
        ),
    ] = None

    @property
    def parts(self) -> list[Part]:
        """What is asked for, for a command line."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return [(f"--{name.replace('_', '-')}", value) for name, value in given.items()]

    def strategy(self, n: int, seed: int) -> Strategy:
        """What they ask for. Raises UsageError for options that do not go together."""
        from abe_rerank.drawing.strategies import make_strategy

        asked = [n for n in ("draft_steps", "until_bound", "search") if getattr(self, n) is not None]
        if len(asked) > 1:
            one, other = (f"--{name.replace('_', '-')}" for name in asked[:2])
            raise UsageError(f"{one} and {other} are two strategies; give one of them")
        if self.keep is not None and self.draft_steps is None:
            raise UsageError("--keep says how many drafts are drawn in full; give --draft-steps, too")
        if self.max_seconds is not None and self.until_bound is None:
            raise UsageError("--max-seconds ends --until-bound; give that, too")
        if self.draft_steps is not None:
            return make_strategy("drafts", n, seed, draft_steps=self.draft_steps, keep=self.keep)
        if self.until_bound is not None:
            return make_strategy("until-bound", n, seed, probability=self.until_bound, max_seconds=self.max_seconds)
        if self.search is not None:
            return make_strategy("search", n, seed, share=self.search)
        return make_strategy("best-of-n", n, seed)


@dataclass(frozen=True)
class GenerateRequest:
    """What the command line asks for."""

    prompt: str
    draw: DrawOptions
    backbone: BackboneOptions
    n: int = 8
    scorer: str = "abe"
    out: Path | None = None
    assets: bool = False
    strategy: StrategyOptions = field(default_factory=StrategyOptions)

    @property
    def command(self) -> str:
        """The command that was run, but for the folder."""
        return self._drawing(self.n, self.draw, self.strategy.parts)

    @property
    def whole_command(self) -> str:
        """The command that was run, with the folder."""
        out = [("--out", None if self.out is None else str(self.out)), ("--assets", self.assets or None)]
        parts = [*self._parts(self.n, self.draw), *self.strategy.parts, *out, self.prompt]
        return command_line("generate", parts, joined=False)

    @property
    def order(self) -> Order:
        """What is to be drawn. Raises UsageError for what cannot be, for options that do not go together, and for a
        folder that a run cannot be written to."""
        from abe_rerank.evaluation.one_prompt import Order
        from abe_rerank.evaluation.work import Asked
        from abe_rerank.reranker import check_prompt
        from abe_rerank.runs.workplace import check_out

        sampling = self.draw.sampling(self.n)
        check_prompt(self.prompt)
        strategy = self.strategy.strategy(self.n, self.draw.seed)
        check_out(self.out)
        asked = Asked("", self.draw.name, self.backbone.name, self.command, self.draw.choices.settings)
        return Order(self.prompt, sampling, strategy, asked, self.draw.offload, self.out)

    def commands(self, best: Result, batch_size: int, out: Path) -> Commands:
        """The command that was run, the one that draws the winner again (at the same batch size, to the bit; a draft in
        its own steps; none draws one whose noise was renewed), and one that scores the images again."""
        from abe_rerank.runs.generated import Commands

        redraw = None
        if best.value is not None and best.seed is not None and not best.renewed:
            steps = self.draw.steps if best.steps is None else best.steps
            redraw = self._drawing(1, replace(self.draw, seed=best.seed, steps=steps, batch_size=str(batch_size)))
        rescore = [str(out / "candidates"), ("--prompt", self.prompt), *self._scoring]
        return Commands(run=self.command, redraw=redraw, rescore=command_line("score", rescore))

    def facts(self, drawn: DrawnPrompt, out: Path, seconds: Mapping[str, float], processes: int) -> RunFacts:
        """What the report of a run in ``out`` says of it beside what was drawn."""
        from abe_rerank.runs.generated import RunFacts

        assert drawn.record.text_to_image is not None  # as images were drawn
        return RunFacts(
            commands=self.commands(drawn.best, drawn.drawing.batch_size, out),
            backbone=drawn.record.backbone,
            text_to_image=drawn.record.text_to_image,
            created=drawn.begun,
            choices=self.draw.choices.settings,
            allow_pickle=self.backbone.allow_pickle,
            seconds=seconds,
            peak_mb=drawn.peak_mb,
            processes=processes,
            interrupted=drawn.missing,
            warnings=drawn.warnings,
        )

    def _drawing(self, n: int, draw: DrawOptions, strategy: Sequence[Part] = ()) -> str:
        return command_line("generate", [*self._parts(n, draw), *strategy, self.prompt], joined=False)

    def _parts(self, n: int, draw: DrawOptions) -> list[Part]:
        return [("--n", n), ("--seed", draw.seed), *replace(draw, seed=0).parts, *self._scoring]

    @property
    def _scoring(self) -> list[Part]:
        return [("--scorer", None if self.scorer == "abe" else self.scorer), *self.backbone.parts]
