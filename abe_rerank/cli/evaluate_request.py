"""What ``abe-rerank evaluate`` is asked for, where its run lies, and its command line written out again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.cli.command_line import command_line
from abe_rerank.text import words_of

if TYPE_CHECKING:
    from abe_rerank.drawing.sampling import Sampling

SUITE, N = "shapes", 4


@dataclass(frozen=True)
class EvaluateRequest:
    """What the command line asks for; None is the default, which may depend on the rest."""

    suite: str | None = None
    model: str | None = None
    n: int | None = None
    seed: int = 0
    batch_size: int = 1
    steps: int | None = None
    guidance: float | None = None
    images: Path | None = None
    limit: int | None = None
    backbone: str | None = None
    scorer: str = "abe"
    judge: str | None = None
    oracle: bool | None = None
    device: str | None = None
    dtype: str | None = None
    image_size: str | None = None
    allow_pickle: bool = False
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the run lies: ``--out``, or a folder under ``runs`` that the same settings always lead to."""
        if self.out is not None:
            return self.out
        import hashlib
        import json

        asked = {name: value for name, value in asdict(self).items() if (name, value) != ("allow_pickle", False)}
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
        from abe_rerank.drawing.sampling import Sampling

        n = N if self.n is None else self.n
        return Sampling(n, self.seed, min(self.batch_size, n), self.steps, self.guidance)

    @property
    def command(self) -> str:
        """The command line, with what is not default."""
        given = {name: value for name, value in asdict(self).items() if value != getattr(EvaluateRequest, name)}
        return command_line("evaluate", [(f"--{name.replace('_', '-')}", value) for name, value in given.items()])
