"""``AbeBestOfNPipeline``: any text-to-image pipeline of diffusers, drawing N images and returning the best-bound.

>>> from abe_rerank.drawing.pipelines import load_pipeline
>>> from abe_rerank.integrations.diffusers_pipeline import AbeBestOfNPipeline
>>> pipeline = AbeBestOfNPipeline.from_pipe(load_pipeline())
>>> output = pipeline("a yellow cylinder and a red cube", num_candidates=2, num_inference_steps=4)
>>> len(output.images), len(output.report["candidates"])
(1, 2)

``DiffusionPipeline.from_pretrained(model, custom_pipeline="pipelines/abe_best_of_n.py", trust_remote_code=True)`` makes
it of a model's folder or hub id.
"""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import diffusers
from diffusers import DiffusionPipeline
from diffusers.configuration_utils import FrozenDict
from diffusers.utils import BaseOutput

from abe_rerank.drawing.pipelines import check_text_to_image
from abe_rerank.errors import UsageError
from abe_rerank.files import write_whole
from abe_rerank.reranker import Reranker
from abe_rerank.runs.records import ParseRecord, ScoreRecord
from abe_rerank.scoring.registry import make_scorer

if TYPE_CHECKING:
    from PIL.Image import Image

    from abe_rerank.drawing.strategies import Strategy
    from abe_rerank.types import Ranking

INDEX = "model_index.json"
OURS = "_abe_rerank"
"""Under this name a saved pipeline's index keeps the backbone and the scorer; the rest of it is the model's own."""


@dataclass
class AbeBestOfNOutput(BaseOutput):  # type: ignore[misc]
    """The best image, or with ``return_all`` all of them best first, with their scores (None where unscored) and seeds.

    ``report`` speaks of all candidates: prompt, parse, settings, and the score of each with its pairs, as report.json
    has them; ``ranking`` is the same as objects.
    """

    images: list[Image]
    scores: list[float | None]
    seeds: list[int | None]
    report: dict[str, Any]
    ranking: Ranking


class AbeBestOfNPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Best of N by attribute binding around a text-to-image pipeline of any class, which draws by its own ``__call__``.

    Whatever else is asked of it (``scheduler``, ``to``, ``load_lora_weights``, ``enable_model_cpu_offload``,
    ...) is asked of that pipeline. Make it by :meth:`from_pipe` or ``DiffusionPipeline.from_pretrained(model,
    custom_pipeline=...)``; both take ``backbone``, the CLIP-like model that scores (a folder or a hub id, None for the
    one built into abe-rerank), and ``scorer``, "abe" or another name of :func:`abe_rerank.scoring.names`. The backbone
    is loaded at the first call.
    """

    def __init__(self, core: Any = None, backbone: str | None = None, scorer: str = "abe", **parts: Any) -> None:
        """``core`` is the pipeline that draws, or makes it of its ``parts``.

        Raises UsageError for a pipeline that needs more than a prompt.
        """
        core = core(**parts) if isinstance(core, partial) else core
        if not isinstance(core, DiffusionPipeline):
            raise UsageError(
                "AbeBestOfNPipeline has no pipeline to draw with; make it by AbeBestOfNPipeline.from_pipe(pipeline)"
            )
        check_text_to_image(core)
        self._core, self._backbone, self._scorer = core, backbone, scorer
        self._rerankers: dict[str, Reranker] = {}

    def __getattribute__(self, name: str) -> Any:
        """Its own, and the core's for all that a pipeline has besides."""
        if name.startswith("_") or name in AbeBestOfNPipeline.__dict__:
            return object.__getattribute__(self, name)
        return getattr(self._core, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets it in the core, as in ``pipeline.scheduler = ...``."""
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._core, name, value)

    def __repr__(self) -> str:
        return f"AbeBestOfNPipeline(backbone={self._backbone!r}, scorer={self._scorer!r}) of {self._core!r}"

    @property
    def config(self) -> Mapping[str, Any]:
        """The core's, with the backbone and the scorer."""
        return FrozenDict({**self._core.config, "backbone": self._backbone, "scorer": self._scorer})  # type: ignore[no-any-return]

    @classmethod
    def from_pipe(cls, pipeline: Any, backbone: str | None = None, scorer: str = "abe") -> AbeBestOfNPipeline:
        """Best of N around a pipeline that is loaded, as it is (device, number type, LoRAs, hooks)."""
        return cls(pipeline._core if isinstance(pipeline, AbeBestOfNPipeline) else pipeline, backbone, scorer)

    @classmethod
    def extract_init_dict(
        cls, config_dict: Mapping[str, Any], **given: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What ``DiffusionPipeline.from_pretrained`` is to load for a model's index and hand to the constructor.

        ``given`` are the arguments of from_pretrained that it does not know itself: parts and settings of the core, or
        unknown ones. Raises UsageError for a model whose class diffusers lacks.
        """
        kind = getattr(diffusers, str(config_dict.get("_class_name")), None)
        if not (inspect.isclass(kind) and issubclass(kind, DiffusionPipeline)):
            raise UsageError(f"the model is of the class {config_dict.get('_class_name')}, which diffusers lacks")
        taken = set(inspect.signature(kind.__init__).parameters) - {"self"}
        known = {name: value for name, value in config_dict.items() if name in taken}
        parts = {name: entry for name, entry in known.items() if isinstance(entry, list)}
        given_parts = {name: given.pop(name) for name in list(given) if name in taken}
        nulls = dict.fromkeys(name for name, entry in parts.items() if entry[0] is None)
        settings = {name: value for name, value in known.items() if name not in parts}
        core = partial(kind, **nulls, **settings | given_parts)
        loaded = {name: entry for name, entry in parts.items() if name not in {**nulls, **given_parts}}
        return {"core": core, **config_dict.get(OURS, {}), **loaded}, given, {}

    @classmethod
    def _get_signature_types(cls) -> dict[str, tuple[object, ...]]:
        """What diffusers checks parts against before they go to the core, whose constructor has types of its own."""
        return defaultdict(lambda: (inspect.Signature.empty,))

    def to(self, *where: Any, **how: Any) -> AbeBestOfNPipeline:
        """Move the core; what scores is loaded onto its device."""
        self._core.to(*where, **how)
        self._rerankers.clear()
        return self

    def save_pretrained(self, save_directory: str | PathLike[str], **options: Any) -> None:
        """Save the core as an ordinary model of its class, with the names of backbone and scorer in its index."""
        self._core.save_pretrained(save_directory, **options)
        path = Path(save_directory) / INDEX
        named = json.loads(path.read_text(encoding="utf-8"))
        ours = {"backbone": self._backbone, "scorer": self._scorer}
        write_whole(path, (json.dumps({**named, OURS: ours}, indent=2, sort_keys=True) + "\n").encode())

    def reranker(self, scorer: str | None = None) -> Reranker:
        """What scores by a scorer's name, on the device where the core draws; scorers share one backbone."""
        name = scorer or self._scorer
        if name not in self._rerankers:
            loaded = next(iter(self._rerankers.values()), None)
            self._rerankers[name] = (
                Reranker.from_pretrained(self._backbone, name, device=str(self._core._execution_device))
                if loaded is None
                else Reranker(make_scorer(name, loaded.scorer.backbone))
            )
        return self._rerankers[name]

    def __call__(
        self,
        prompt: str,
        num_candidates: int = 8,
        scorer: str | None = None,
        strategy: Strategy | str | None = None,
        return_all: bool = False,
        seed: int = 0,
        batch_size: int | Literal["auto"] = "auto",
        **call: Any,
    ) -> AbeBestOfNOutput:
        """Draw ``num_candidates`` images with the seeds ``seed``, ``seed + 1``, ... and return the best, or all.

        ``scorer`` takes the place of the pipeline's own for this call; ``strategy`` is what
        :meth:`abe_rerank.Reranker.generate` takes ("drafts", "until-bound", ...); ``call`` goes to the core's
        ``__call__`` (num_inference_steps, guidance_scale, height, ...). Raises as that does.
        """
        # 1. Draw with the core pipeline, one generator per seed, score each image's attributes on their objects, rank
        shown = not getattr(self._core, "_progress_bar_config", {}).get("disable", False)
        options: dict[str, Any] = {"batch_size": batch_size, "strategy": strategy, "progress": shown}
        ranking = self.reranker(scorer).generate(self._core, prompt, num_candidates, seed, **options, **call)

        # 2. Hand back the best, with what was found of all
        kept = ranking.candidates if return_all else ranking.top_k(1)
        return AbeBestOfNOutput(
            images=[candidate.image for candidate in kept],
            scores=[candidate.score.value for candidate in kept],
            seeds=[candidate.seed for candidate in kept],
            report=report_of(ranking),
            ranking=ranking,
        )


# diffusers takes a parameter of any name for a part with that name: the parts are those that the index lists.
AbeBestOfNPipeline.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [p for p in inspect.signature(AbeBestOfNPipeline.__init__).parameters.values() if p.name != "parts"]
)


def report_of(ranking: Ranking) -> dict[str, Any]:
    """Prompt, parse, settings and the candidates in order of rank, as values that JSON holds."""
    candidates = [
        {"rank": rank, "seed": candidate.seed, "score": ScoreRecord.of(candidate.score).model_dump(mode="json")}
        for rank, candidate in enumerate(ranking.candidates, start=1)
    ]
    parse = ParseRecord.of(ranking.spec).model_dump(mode="json")
    settings = {name: _plain(value) for name, value in ranking.settings.items()}
    return {"prompt": ranking.prompt, "parse": parse, "settings": settings, "candidates": candidates}


def _plain(value: object) -> object:
    """A setting as JSON holds it; what it cannot hold is written by its repr."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)
