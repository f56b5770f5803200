"""The verb of the package: score, explain and rank images for a prompt, or draw N of them and rank those.

One :class:`Reranker` serves images in memory, files on disk and diffusers pipelines, with one scorer whose version
stamp lands in every result.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import UsageError
from abe_rerank.images import as_list, to_pil, to_pil_list
from abe_rerank.types import Candidate, Ranking, Score, Spec

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from abe_rerank.backbones import Backbone
    from abe_rerank.backbones.sizes import ImageSize
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.drawing.sampling import Sample, Sampling
    from abe_rerank.images import ImageLike
    from abe_rerank.scoring import Scorer

CHUNK = 16
"""Images that go through the scorer at once; a score never depends on the others."""

PAINTED_OVER = "painted over by the model's safety checker"
"""Why such an image is unscored."""


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
        device: str | None = None,
        dtype: str | None = None,
        image_size: ImageSize | str | None = None,
        allow_pickle: bool = False,
    ) -> Reranker:
        """A reranker on a CLIP-like model: a transformers folder, a hub id, or None for the built-in model.

        ``scorer`` is "abe" (ABE-CLIP, arXiv 2512.17178, in our reading) or "clip" (the global score). ``image_size``
        is a side, or (height, width), in pixels; None is the size the model was trained at. Weights are read from pickle
        files only with ``allow_pickle``, for models whose maker is trusted. Raises UsageError for an unknown scorer or
        model or a size it cannot take, AbeRerankError if the model cannot be loaded.
        """
        from abe_rerank.backbones import load_backbone
        from abe_rerank.backbones.devices import pick_device
        from abe_rerank.scoring import make_scorer

        place = pick_device(device)
        return cls(make_scorer(scorer, load_backbone(backbone, place, dtype, image_size, allow_pickle=allow_pickle)))

    def score(self, images: ImageLike | Iterable[ImageLike], prompts: str | Spec | Sequence[str | Spec]) -> np.ndarray:
        """Scores as float64 [images, prompts]; nan where a pair of image and prompt could not be scored.

        Images may be PIL images, paths, numpy arrays [height, width, channels] or tensors [channels, height, width].
        Raises UsageError for an empty list or prompt, AbeRerankError for a file that cannot be read.
        """
        import numpy as np

        pictures = to_pil_list(images)
        specs = [as_spec(p) for p in ([prompts] if isinstance(prompts, (str, Spec)) else prompts)]
        if not specs:
            raise UsageError("no prompts were given; give at least one")
        rows = [self.scorer.score(pictures[k : k + CHUNK], specs) for k in range(0, len(pictures), CHUNK)]
        return np.concatenate(rows).astype(np.float64)

    def explain(self, image: ImageLike, prompt: str | Spec) -> Score:
        """The score of one image with its terms, and evidence, margin, region and verdict of each pair."""
        return self.scorer.explain([to_pil(image)], as_spec(prompt))[0]

    def rank(self, prompt: str | Spec, images: ImageLike | Iterable[ImageLike], *, progress: bool = False) -> Ranking:
        """The images as candidates, best first. Raises like :meth:`score`."""
        listed = as_list(images)
        pictures = to_pil_list(listed)
        spec = as_spec(prompt)
        sources = [fspath(image) if isinstance(image, (str, PathLike)) else None for image in listed]
        candidates = [
            Candidate(picture, score, source=source)
            for picture, score, source in zip(
                pictures, self._explain_all(pictures, spec, progress), sources, strict=True
            )
        ]
        return ranking_of(spec, candidates, {"scorer": self.scorer.stamp})

    def generate(
        self,
        pipeline: Pipeline | str | Path | None,
        prompt: str | Spec,
        n: int = 8,
        seed: int = 0,
        *,
        batch_size: int = 1,
        progress: bool = False,
        **call: Any,
    ) -> Ranking:
        """Draw ``n`` images with a diffusers text-to-image pipeline and rank them; candidate k has seed ``seed + k``.

        ``pipeline`` is a loaded pipeline, a folder, a hub id, or None for the built-in one; ``call`` goes to its
        ``__call__`` (num_inference_steps, guidance_scale, height, ...). Warns (UserWarning) about words for which the
        pipeline or the backbone has no token. Raises UsageError and AbeRerankError as
        :func:`abe_rerank.drawing.sampling.sample` does.
        """
        from abe_rerank.drawing.pipelines import load_pipeline
        from abe_rerank.drawing.sampling import Sampling

        sampling = Sampling(n=n, seed=seed, batch_size=batch_size, call=call)
        spec = as_spec(prompt)
        loaded = load_pipeline(pipeline) if pipeline is None or isinstance(pipeline, (str, Path)) else pipeline
        for warning in prompt_warnings(spec.prompt, self.scorer.backbone, loaded):
            warnings.warn(warning, UserWarning, stacklevel=2)
        return self.generate_from(loaded, spec, sampling, progress)

    def generate_from(self, pipeline: Pipeline, spec: Spec, sampling: Sampling, progress: bool = False) -> Ranking:
        """As :meth:`generate`, from a loaded pipeline, a parsed prompt and settings."""
        from abe_rerank.drawing.sampling import call_arguments, sample

        samples = sample(pipeline, spec.prompt, sampling, progress)
        scores = self.explain_samples(samples, spec, progress)
        candidates = [Candidate(s.image, score, seed=s.seed) for s, score in zip(samples, scores, strict=True)]
        settings = {
            "n": sampling.n,
            "seed": sampling.seed,
            "batch_size": sampling.batch_size,
            "scorer": self.scorer.stamp,
            **call_arguments(pipeline, sampling),
        }
        return ranking_of(spec, candidates, settings)

    def explain_samples(self, samples: Sequence[Sample], spec: Spec, progress: bool = False) -> list[Score]:
        """The score of each sample; one that the model's safety checker painted over is unscored, and says so."""
        scores = self._explain_all([s.image for s in samples], spec, progress)
        blank = Score(value=None, status="unscored", scorer=self.scorer.stamp, reason=PAINTED_OVER)
        return [blank if s.blanked else score for s, score in zip(samples, scores, strict=True)]

    def _explain_all(self, pictures: list[Image], spec: Spec, progress: bool) -> list[Score]:
        from tqdm import tqdm

        scores: list[Score] = []
        with tqdm(total=len(pictures), desc="scoring", unit="image", disable=not progress, leave=False) as bar:
            for k in range(0, len(pictures), CHUNK):
                chunk = pictures[k : k + CHUNK]
                scores += self.scorer.explain(chunk, spec)
                bar.update(len(chunk))
        return scores


def as_spec(prompt: str | Spec) -> Spec:
    """The parsed prompt. Raises UsageError for an empty one."""
    from abe_rerank.parsing import parse

    spec = prompt if isinstance(prompt, Spec) else parse(prompt)
    if not spec.prompt.strip():
        raise UsageError('the prompt is empty; say what to draw, as in "a yellow cylinder and a red cube"')
    return spec


def ranking_of(spec: Spec, candidates: Iterable[Candidate], settings: dict[str, object]) -> Ranking:
    """Candidates sorted by score, best first, unscored ones last; ties keep their order."""
    ordered = sorted(candidates, key=lambda c: (c.score.value is None, -(c.score.value or 0.0)))
    return Ranking(spec.prompt, spec, tuple(ordered), settings)


def prompt_warnings(prompt: str, backbone: Backbone, pipeline: Pipeline | None = None) -> list[str]:
    """A line each for words without a token, a prompt cut in drawing, and one read in parts in scoring."""
    from abe_rerank.drawing.prompt_fit import cut_off, tokenizers_of, unknown_words

    unscored = unknown_words([backbone.tokenizer], prompt)
    undrawn = unknown_words(tokenizers_of(pipeline), prompt) if pipeline is not None else ()
    drawer = "the text-to-image model", "--model, a diffusers folder or hub id"
    reader = "the backbone", "--backbone, a transformers folder or hub id"
    found = []
    if undrawn and undrawn == unscored:
        found.append(_no_token(undrawn, f"{drawer[0]} and {reader[0]} have", f"{drawer[1]}; {reader[1]}"))
    else:
        found += [_no_token(undrawn, f"{drawer[0]} has", drawer[1])] if undrawn else []
        found += [_no_token(unscored, f"{reader[0]} has", reader[1])] if unscored else []
    if pipeline is not None and (cut := cut_off(pipeline, prompt)):
        found.append(f"the prompt has {cut[0]} tokens, and the text-to-image model reads the first {cut[1]} only")
    if (windows := len(backbone.text_windows(prompt))) > 1:
        found.append(
            f"the prompt is longer than the backbone reads at once: it is read in {windows} parts cut at phrases"
        )
    return found


def rounding_warning(values: Sequence[float | None], backbone: Backbone) -> str | None:
    """A line if the two best of ``values`` (best first) lie closer than half precision tells apart, else None.

    Measured on the built-in backbone, scores in bfloat16 and float16 stray from float32 by 0.6 of the type's epsilon
    (standard deviation); twice the epsilon is what we take as apart.
    """
    import torch

    kind = str(backbone.dtype).removeprefix("torch.")
    known = [value for value in values if value is not None][:2]
    if kind in ("float32", "float64") or len(known) < 2 or known[0] - known[1] >= 2 * torch.finfo(backbone.dtype).eps:
        return None
    return f"the two best scores differ by less than {kind} tells apart; --dtype float32 decides between them"


def _no_token(words: tuple[str, ...], who: str, way_out: str) -> str:
    return f"{who} no token for {', '.join(words)}, which goes by unseen; name a model that knows more ({way_out})"
