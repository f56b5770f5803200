"""Community pipeline: Stable Diffusion that draws N images and returns them best-bound first.

    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        custom_pipeline="pipelines/abe_best_of_n.py",
        trust_remote_code=True,
    )
    output = pipeline("a yellow cylinder and a red cube", n=8, seed=0)
    output.images[0], output.seeds[0], output.ranking.best.score.pairs

It needs ``pip install abe-rerank``. Another CLIP-like model scores with ``backbone="owner/name"`` as a further argument
of ``from_pretrained``, another scorer with ``scorer="clip"``. Pipelines of other classes (SDXL, SD3, Flux, ...) need no
file: ``Reranker.from_pretrained().generate(pipeline, prompt)`` takes any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from diffusers import StableDiffusionPipeline
from diffusers.utils import BaseOutput
from PIL.Image import Image

from abe_rerank.reranker import Reranker
from abe_rerank.types import Ranking


@dataclass
class AbeBestOfNOutput(BaseOutput):
    """What was drawn, best first: images, their seeds, their scores (None where unscored), and the whole ranking."""

    images: list[Image]
    seeds: list[int]
    scores: list[float | None]
    ranking: Ranking


class AbeBestOfNPipeline(StableDiffusionPipeline):
    """Stable Diffusion with best-of-N by attribute binding; components are those of ``StableDiffusionPipeline``.

    ``backbone`` is the CLIP-like model that scores (a folder or a hub id, None for the one built into abe-rerank),
    ``scorer`` "abe", "clip" or "filip". The scorer is loaded at the first call.
    """

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        scheduler: Any,
        safety_checker: Any,
        feature_extractor: Any,
        image_encoder: Any = None,
        requires_safety_checker: bool = True,
        backbone: str | None = None,
        scorer: str = "abe",
    ) -> None:
        super().__init__(
            vae,
            text_encoder,
            tokenizer,
            unet,
            scheduler,
            safety_checker,
            feature_extractor,
            image_encoder,
            requires_safety_checker,
        )
        self.register_to_config(backbone=backbone, scorer=scorer)
        self._reranker: Reranker | None = None

    @property
    def reranker(self) -> Reranker:
        """The reranker on this pipeline's device."""
        if self._reranker is None:
            self._reranker = Reranker.from_pretrained(self.config.backbone, self.config.scorer, device=str(self.device))
        return self._reranker

    def __call__(
        self,
        prompt: str,
        n: int = 8,
        seed: int = 0,
        top_k: int | None = None,
        batch_size: int | Literal["auto"] = "auto",
        **call: Any,
    ) -> AbeBestOfNOutput:
        """Draw ``n`` images with the seeds ``seed``, ``seed + 1``, ... and return the ``top_k`` best (default: all).

        ``call`` goes to ``StableDiffusionPipeline.__call__`` (num_inference_steps, guidance_scale, height,
        ...). Raises ``abe_rerank.UsageError`` for an empty prompt or ``n`` below 1.
        """
        # 1. Draw with the core pipeline, on the same components, one generator per seed
        core = StableDiffusionPipeline(**self.components, requires_safety_checker=self.config.requires_safety_checker)
        core.register_to_config(_name_or_path=self.config.get("_name_or_path"))
        core.set_progress_bar_config(**getattr(self, "_progress_bar_config", {}))

        # 2. Score each image's attributes on their objects, and rank
        ranking = self.reranker.generate(core, prompt, n, seed, batch_size=batch_size, progress=True, **call)

        # 3. Hand back the best
        kept = ranking.top_k(top_k or n)
        return AbeBestOfNOutput(
            images=[candidate.image for candidate in kept],
            seeds=[candidate.seed for candidate in kept],
            scores=[candidate.score.value for candidate in kept],
            ranking=ranking,
        )
