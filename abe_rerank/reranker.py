"""The verbs of the package: score, explain and rank images for a prompt, or draw N of them and rank those.

One :class:`Reranker` serves images in memory, files on disk and diffusers pipelines, with one scorer whose version
stamp lands in every result.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from abe_rerank.errors import UsageError
from abe_rerank.files import MOST_PROMPT
from abe_rerank.images import as_list, to_pil_list
from abe_rerank.types import Candidate, NoPicture, Ranking, Score, Settings, Spec

if TYPE_CHECKING:
    import numpy as np
    import torch

    from abe_rerank.backbones.devices import ImageSize
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sampling
    from abe_rerank.drawing.strategies import Strategy
    from abe_rerank.images import ImageLike
    from abe_rerank.scoring import Scorer
    from abe_rerank.scoring.boxes import Boxes


@dataclass(frozen=True)
class Reranker:
    """Ranks images of a prompt by a scorer; see :meth:`from_pretrained`."""

    scorer: Scorer

    @classmethod
    def from_pretrained(
        cls,
        backbone: str | Path | None = None,
        scorer: str = "abe",
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        image_size: ImageSize | str | None = None,
        allow_pickle: bool = False,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Reranker:
        """A reranker on a CLIP-like model: a transformers folder, a hub id, or None for the built-in model.

        ``scorer`` is "abe" (ABE-CLIP, arXiv 2512.17178, in our reading) or another name of
        :func:`abe_rerank.scoring.names`. ``image_size`` is a side, or (height, width), in pixels; None is the size the
        model was trained at. Weights are read from pickle files only with ``allow_pickle``, for models whose maker is
        trusted. ``revision``, ``cache_dir``, ``local_files_only`` and ``token`` are for a hub id, as transformers and
        diffusers have them: see :class:`abe_rerank.backbones.hub.Hub`. Raises UsageError for an unknown scorer or model
        or a size it cannot take, AbeRerankError if the model cannot be loaded.
        """
        from abe_rerank.backbones import load_backbone
        from abe_rerank.backbones.hub import Hub
        from abe_rerank.scoring import make_scorer

        hub = Hub(revision, cache_dir, local_files_only, token)
        loaded = load_backbone(backbone, device, dtype, image_size, allow_pickle=allow_pickle, hub=hub)
        return cls(make_scorer(scorer, loaded))

    def score(self, images: ImageLike | Iterable[ImageLike], prompts: str | Spec | Sequence[str | Spec]) -> np.ndarray:
        """Scores as float64 [images, prompts]; nan where a pair of image and prompt could not be scored.

        Images may be PIL images, paths, numpy arrays [height, width, channels] or tensors [channels, height, width].
        Raises UsageError for an empty list or prompt, AbeRerankError for a file that cannot be read.
        """
        import numpy as np

        from abe_rerank.scoring.stream import value_matrix

        listed = as_list(images)
        specs = [as_spec(p) for p in ([prompts] if isinstance(prompts, (str, Spec)) else prompts)]
        if not specs:
            raise UsageError("no prompts were given; give at least one")
        return value_matrix(self.scorer, listed, specs).astype(np.float64)

    def score_each(self, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]) -> list[Score]:
        """The score of each image for its own prompt, in their order. An empty prompt gives an unscored one.

        ``images`` is what :meth:`score` takes, a tensor [N, C, H, W] too. Raises UsageError unless there is one prompt
        for each image, and for what is not a picture.
        """
        import torch

        from abe_rerank.parsing import parse
        from abe_rerank.scoring.stream import score_stream

        listed = [prompts] if isinstance(prompts, str) else list(prompts)
        pictures = as_list(images.detach().cpu() if isinstance(images, torch.Tensor) else images)
        if len(listed) != len(pictures):
            raise UsageError(f"{len(pictures)} images and {len(listed)} prompts: give one prompt for each image")
        if self.scorer.relative:
            raise UsageError(f"{self.scorer.name}: a score is one among candidates of a prompt; use rank")
        if wrong := [prompt for prompt in listed if not isinstance(prompt, str)]:
            raise UsageError(f"a prompt is a {type(wrong[0]).__name__}; prompts are texts")
        specs = {prompt: parse(prompt) for prompt in dict.fromkeys(listed)}
        return list(score_stream(self.scorer, zip(pictures, map(specs.__getitem__, listed), strict=True)))

    def explain(self, image: ImageLike, prompt: str | Spec, *, boxes: Boxes | None = None) -> Score:
        """The score of one image with its terms, and evidence, margin, region and verdict of each pair.

        ``boxes`` says where objects of the prompt are, {phrase: (left, top, right, bottom)} as fractions of the image,
        for a scorer that takes them (comclip). Raises UsageError for one that does not, and for boxes that cannot be.
        """
        from abe_rerank.scoring.boxes import with_boxes
        from abe_rerank.scoring.stream import scores_of

        spec = as_spec(prompt)
        if boxes is not None:
            if self.scorer.name != "comclip":
                raise UsageError(f"the scorer {self.scorer.name} takes no boxes; use comclip")
            spec = with_boxes(spec, boxes)
        return scores_of(self.scorer, spec, [image])[0]

    def rank(self, prompt: str | Spec, images: ImageLike | Iterable[ImageLike], *, progress: bool = False) -> Ranking:
        """The images as candidates, best first. Raises like :meth:`score`."""
        from abe_rerank.scoring.stream import ranking_of, scores_of

        spec, listed = as_spec(prompt), as_list(images)
        pictures = to_pil_list(listed)
        sources = [fspath(image) if isinstance(image, (str, PathLike)) else None for image in listed]
        scores = scores_of(self.scorer, spec, pictures, progress)
        candidates = [Candidate(p, s, source=x) for p, s, x in zip(pictures, scores, sources, strict=True)]
        return ranking_of(spec, candidates, Settings(self.scorer.stamp))

    def generate(
        self,
        pipeline: Pipeline | str | Path | None,
        prompt: str | Spec,
        n: int = 8,
        seed: int = 0,
        *,
        batch_size: int | Literal["auto"] = "auto",
        strategy: Strategy | str | None = None,
        progress: bool = False,
        on_candidate: Callable[[Candidate], object] | None = None,
        **call: Any,
    ) -> Ranking:
        """Draw ``n`` images with a diffusers text-to-image pipeline and rank them; candidate k has seed ``seed + k``.

        ``strategy`` is None for best of ``n``, a name of :func:`abe_rerank.drawing.strategies.names` for another way
        to spend at most ``n`` images with its default settings, or a strategy
        (:func:`abe_rerank.drawing.strategies.make_strategy`), whose own ``n`` and ``seed`` count.

        ``pipeline`` is a loaded pipeline, a folder, a hub id, or None for the built-in one; ``call`` goes to its
        ``__call__`` (num_inference_steps, guidance_scale, negative_prompt, height, ...); scheduler, LoRAs, variant and
        revision are those of :func:`abe_rerank.drawing.pipelines.load_pipeline`.

        ``on_candidate`` is called with each candidate as soon as it is scored, batch by batch, in the order of the
        seeds; a draft has ``steps``. If it returns False, the candidates of this batch are the last, and those until
        then are ranked; what it raises ends the drawing and is passed on. Where memory runs out, what was asked for
        at once is drawn again in smaller batches, and given again.

        Warns (UserWarning) about what the pipeline or the backbone cannot read of the prompt, and of guidance that does
        nothing. Raises UsageError and AbeRerankError as :func:`abe_rerank.drawing.sampling.settle` and
        :func:`abe_rerank.drawing.sampling.draw` do, and what a strategy raises.
        """
        from abe_rerank.drawing.pipelines import load_pipeline
        from abe_rerank.drawing.prompt_fit import prompt_warnings
        from abe_rerank.drawing.sampling import Sampling, settle
        from abe_rerank.drawing.strategies import make_strategy
        from abe_rerank.scoring.stream import ranking_of

        plain, backbone = strategy is None, self.scorer.backbone
        if strategy is None or isinstance(strategy, str):
            Sampling(n=n, seed=seed)
            strategy = make_strategy(strategy or "best-of-n", n, seed)
        sampling = Sampling(n=strategy.n, seed=strategy.seed, batch_size=batch_size, call=call)
        spec = as_spec(prompt)
        if pipeline is None or isinstance(pipeline, (str, Path)):
            pipeline = load_pipeline(pipeline, backbone.device, backbone.dtype)
        for warning in prompt_warnings([spec.prompt], backbone, pipeline, settle(pipeline, sampling)):
            warnings.warn(warning, UserWarning, stacklevel=2)
        check_followed(strategy, self.scorer, spec)
        self.scorer.forget()  # what was asked before does not move the last digit
        ranking = follow(strategy, self.scorer, pipeline, spec, sampling, progress=progress, on_candidate=on_candidate)
        if self.scorer.relative:
            drawn = sorted(ranking.candidates, key=lambda candidate: candidate.seed or 0)
            ranking = ranking_of(spec, self._among_all(spec, drawn), ranking.settings)
        return replace(ranking, settings=replace(ranking.settings, course=None)) if plain else ranking

    def _among_all(self, spec: Spec, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates that were scored batch by batch, scored again among each other."""
        from abe_rerank.scoring.stream import scores_of

        pictures = [
            NoPicture(c.score.reason or "it has no score") if c.score.value is None else c.image for c in candidates
        ]
        return [replace(c, score=s) for c, s in zip(candidates, scores_of(self.scorer, spec, pictures), strict=True)]


def follow(
    strategy: Strategy,
    scorer: Scorer,
    pipeline: Pipeline,
    spec: Spec,
    sampling: Sampling,
    *,
    progress: bool = False,
    on_candidate: Callable[[Candidate], object] | None = None,
) -> Ranking:
    """Draw what a strategy asks for, as ``sampling`` says but for its seeds, score it, and rank what may be picked.

    Raises and calls as :meth:`Reranker.generate` does; UsageError for a scorer that compares all candidates, which no
    strategy can follow.
    """
    from abe_rerank.drawing.components import encoding_once
    from abe_rerank.drawing.sampling import batches, settle
    from abe_rerank.drawing.strategies.pursuit import pursue
    from abe_rerank.scoring.stream import candidates_of, ranking_of

    if scorer.relative and (on_candidate is not None or strategy.name != "best-of-n"):
        raise UsageError(
            f"{scorer.name}: no candidate has a score before all are drawn; use no on_candidate, no strategy"
        )
    with encoding_once(pipeline):
        done = pursue(
            strategy,
            lambda count: replace(settle(pipeline, replace(sampling, n=count)), n=sampling.n),
            lambda recipes, drawing: batches(pipeline, spec.prompt, drawing, progress, recipes),
            lambda samples: candidates_of(scorer, spec, samples),
            on_candidate,
        )
    return ranking_of(spec, done.candidates, Settings(scorer.stamp, done.drawing, done.course))


def check_followed(strategy: Strategy, scorer: Scorer, spec: Spec) -> None:
    """Raises UsageError, before anything is drawn, where the scorer does not say what a strategy needs to know: it is
    asked about a picture of nothing."""
    from PIL import Image

    from abe_rerank.drawing.strategies import Tried
    from abe_rerank.recipes import Recipe
    from abe_rerank.scoring.stream import scores_of

    if strategy.name == "best-of-n" or scorer.relative:
        return
    score = scores_of(scorer, spec, [Image.effect_noise((64, 64), 64).convert("RGB")])[0]
    likely = tuple(pair.probability for pair in score.pairs)
    strategy.next([Tried(Recipe(strategy.seed), score.value, score.status, likely)], 0.0)


def as_spec(prompt: str | Spec) -> Spec:
    """The parsed prompt. Raises as :func:`check_prompt` does."""
    from abe_rerank.parsing import parse

    check_prompt(prompt.prompt if isinstance(prompt, Spec) else prompt)
    return prompt if isinstance(prompt, Spec) else parse(prompt)


def check_prompt(prompt: str) -> None:
    """Raises UsageError for an empty prompt, one of more than MOST_PROMPT characters, and one with half characters,
    which no file can hold."""
    if len(prompt) > MOST_PROMPT:
        raise UsageError(f"the prompt has {len(prompt)} characters, where at most {MOST_PROMPT} are read; say less")
    if not prompt.strip():
        raise UsageError('the prompt is empty; say what to draw, as in "a yellow cylinder and a red cube"')
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the prompt {prompt!a} has bytes that are no UTF-8 text; type it again") from None
