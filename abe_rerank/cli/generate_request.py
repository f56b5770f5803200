"""What ``abe-rerank generate`` is asked, and the commands that ask for it, or for a part of it, again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.options import Part, command_line
from abe_rerank.cli.strategy_options import StrategyOptions

if TYPE_CHECKING:
    from abe_rerank.runs.generated import CandidateRecord, Commands
    from abe_rerank.types import Candidate


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

    def commands(self, best: CandidateRecord | Candidate, batch_size: int, out: Path) -> Commands:
        """The command that was run, the one that draws the winner again (at the same batch size, to the bit), and one
        that scores the images again."""
        from abe_rerank.runs.generated import Commands

        redraw = None
        if best.score.value is not None and best.seed is not None:
            redraw = self._drawing(1, replace(self.draw, seed=best.seed, batch_size=str(batch_size)))
        rescore = [str(out / "candidates"), ("--prompt", self.prompt), *self._scoring]
        return Commands(run=self.command, redraw=redraw, rescore=command_line("score", rescore))

    def _drawing(self, n: int, draw: DrawOptions, strategy: Sequence[Part] = ()) -> str:
        return command_line("generate", [*self._parts(n, draw), *strategy, self.prompt], joined=False)

    def _parts(self, n: int, draw: DrawOptions) -> list[Part]:
        return [("--n", n), ("--seed", draw.seed), *replace(draw, seed=0).parts, *self._scoring]

    @property
    def _scoring(self) -> list[Part]:
        return [("--scorer", None if self.scorer == "abe" else self.scorer), *self.backbone.parts]
