"""What ``abe-rerank evaluate`` is asked: the run's folder, its command, how its images are drawn."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.asked import BackboneOptions, DrawOptions
from abe_rerank.cli.generate_request import StrategyOptions
from abe_rerank.cli.options import Part, command_line, read_batch_size, read_settings
from abe_rerank.files import words_of

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.evaluation.plan import Plan
    from abe_rerank.suites import SuitePrompt

SUITE, N = "shapes", 4


@dataclass(frozen=True)
class EvaluateRequest:
    """What the command line asks for; None is the default, which may depend on the rest."""

    draw: DrawOptions
    backbone: BackboneOptions
    suite: str | None = None
    images: Path | None = None
    limit: int | None = None
    scorer: str = "abe"
    judge: str | None = None
    oracle: bool | None = None
    out: Path | None = None
    n: int | None = None
    strategy: StrategyOptions = field(default_factory=StrategyOptions)

    @property
    def folder(self) -> Path:
        """Where the run lies: ``--out``, or a folder under ``runs`` that the same settings always lead to."""
        if self.out is not None:
            return self.out
        read = {"batch_size": read_batch_size(self.draw.batch_size), "lora": list(self.draw.lora or ())}
        asked = self._own | vars(self.backbone) | vars(self.draw) | read
        asked["arguments"] = list(read_settings(self.draw.arguments).items())
        for name in ("allow_pickle", "model_config"):  # runs of before did not have them
            if not asked[name]:
                del asked[name]
        if self.strategy.parts:
            asked["strategy"] = self.strategy.parts
        settings = json.dumps(asked, sort_keys=True, default=str, ensure_ascii=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        name = self.suite_name or Path(os.path.abspath(str(self.images))).name
        return Path("runs") / f"{words_of(name, 32)}-{digest}"

    @property
    def asks_oracle(self) -> bool:
        """Whether the oracle of the shapes world judges: as said, or where the suite is that of its world."""
        return self.suite_name.partition(":")[0] == SUITE if self.oracle is None else self.oracle

    @property
    def suite_name(self) -> str:
        """What the run calls its prompts: a suite, the name of a file, or nothing where the images name them."""
        if self.suite is None:
            return "" if self.images else SUITE
        return Path(self.suite).name if os.path.exists(self.suite) else self.suite

    @property
    def sampling(self) -> Sampling:
        """How the images of a prompt are drawn; a batch holds images of one prompt. Raises UsageError for numbers that
        cannot be."""
        from dataclasses import replace

        n = N if self.n is None else self.n
        size = read_batch_size(self.draw.batch_size)
        return replace(self.draw, batch_size=size if size == "auto" else str(min(size, n))).sampling(n)

    @property
    def drawing_only(self) -> list[str]:
        """The options that were given and are of no use where nothing is drawn, the model first."""
        parts = [part[0] if isinstance(part, tuple) else part for part in self.draw.parts]
        return sorted({part: None for part in parts if part != "--batch-size"}, key=lambda part: part != "--model")

    def plan(self, prompts: Sequence[SuitePrompt]) -> Plan:
        """What is drawn of prompts, one by one where the size of the batches is left to the model that draws. Raises
        UsageError for numbers that cannot be, and options that do not go together."""
        from abe_rerank.evaluation.plan import Plan

        sampling = self.sampling
        even = self.draw.batch_size == "auto"
        size = 1 if sampling.batch_size == "auto" else sampling.batch_size
        return Plan.following(self.strategy.strategy(sampling.n, sampling.seed), prompts, size, even)

    @property
    def command(self) -> str:
        """The command line, with what is not default; a strategy is an option of ``generate`` alone."""
        if self.strategy.parts:
            named = [("--prompts", self.suite), ("--n", self.n), ("--out", None if self.out is None else str(self.out))]
            scorer = ("--scorer", None if self.scorer == "abe" else self.scorer)
            parts = [*named, scorer, *self.strategy.parts, *self.draw.parts, *self.backbone.parts]
            return command_line("generate", parts)
        own: list[Part] = [
            (f"--{name}", value) for name, value in self._own.items() if value != getattr(EvaluateRequest, name)
        ]
        return command_line("evaluate", [*own, *self.draw.parts, *self.backbone.parts])

    @property
    def _own(self) -> dict[str, object]:
        """The options of this command alone."""
        names = [one.name for one in fields(self) if one.name not in ("draw", "backbone", "strategy")]
        return {name: getattr(self, name) for name in names}
