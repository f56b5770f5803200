"""The nodes, by ComfyUI's first interface of custom nodes: ``INPUT_TYPES``, ``RETURN_TYPES``, ``FUNCTION``.

Those that take pictures take lists (``INPUT_IS_LIST``): every argument is a list, one item where one thing is
connected, so that pictures of several sizes are ranked together. Nothing of ComfyUI is imported, and nothing heavy
before a node runs. Errors are :class:`UsageError` and :class:`AbeRerankError`, one line each, which ComfyUI shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.integrations.comfyui.tensors import (
    Latent,
    apart,
    picked_images,
    picked_latents,
    picture,
    shown,
    to_be_scored,
)
from abe_rerank.scoring import names

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from abe_rerank.reranker import Reranker
    from abe_rerank.types import Candidate, Ranking

RERANKER = "ABE_RERANKER"
"""The type of what :class:`LoadBackbone` gives and the others take."""

CATEGORY = "ABE rerank"
HEAT_SIDE = 512
"""The longest side of a heat map in pixels: there is one for each word of each picture."""

_IMAGES = ("IMAGE", {"tooltip": "The pictures: a batch, or a list of batches of several sizes."})
_RERANKER = (RERANKER, {"tooltip": "From ABE Load Backbone."})
_PROMPT = ("STRING", {"multiline": True, "default": "", "tooltip": "What the pictures should show."})

Inputs = dict[str, dict[str, tuple[Any, dict[str, Any]]]]


class LoadBackbone:
    """A CLIP-like model with a scorer on it."""

    DESCRIPTION = "Loads the CLIP-like model that reads pictures. Leave the name empty for the small built-in one."
    RETURN_TYPES = (RERANKER,)
    RETURN_NAMES = ("reranker",)
    FUNCTION = "load"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802  (ComfyUI's name)
        """Its inputs; the empty name, "auto" and the size 0 leave the choice to the package."""
        name = "Folder or hub id of a CLIP-like model (CLIP, SigLIP, ...); empty: the built-in one."
        side = "Side in pixels, whole patches, at which pictures are read; 0: the model's own."
        return {
            "required": {
                "backbone": ("STRING", {"default": "", "tooltip": name}),
                "scorer": (list(names()), {"default": names()[0], "tooltip": "abe reads attributes in regions."}),
                "device": (["auto", "cpu", "cuda", "mps"], {"default": "auto"}),
                "dtype": (["auto", "float32", "float16", "bfloat16"], {"default": "auto"}),
                "image_size": ("INT", {"default": 0, "min": 0, "max": 4096, "tooltip": side}),
            }
        }

    def load(self, backbone: str, scorer: str, device: str, dtype: str, image_size: int) -> tuple[Reranker]:
        """Raises as :meth:`abe_rerank.Reranker.from_pretrained` does."""
        from abe_rerank.reranker import Reranker

        loaded = Reranker.from_pretrained(
            backbone.strip() or None,
            scorer,
            device=None if device == "auto" else device,
            dtype=None if dtype == "auto" else dtype,
            image_size=str(image_size) if image_size else None,
        )
        return (loaded,)


class ScoreImages:
    """Each picture's score, its verdicts in words, and where each word was read."""

    DESCRIPTION = "Says how well attributes sit on objects: scores, verdicts, and a heat map for each word."
    INPUT_IS_LIST = True
    RETURN_TYPES = ("FLOAT", "STRING", "IMAGE")
    RETURN_NAMES = ("scores", "verdicts", "heat_maps")
    OUTPUT_IS_LIST = (True, True, True)
    OUTPUT_TOOLTIPS = (
        "One for each picture, nan where it could not be scored.",
        "A text for each picture.",
        "Picture by picture, word by word of the prompt; a picture in which nothing was read stands as it is.",
    )
    FUNCTION = "score"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802
        """Its inputs."""
        return {"required": {"reranker": _RERANKER, "images": _IMAGES, "prompt": _PROMPT}}

    def score(
        self, reranker: Sequence[Reranker], images: Sequence[torch.Tensor], prompt: Sequence[str]
    ) -> tuple[list[float], list[str], list[torch.Tensor]]:
        """Scores and texts, one for each picture, and heat maps [1, height, width, 3] (one batch of one batch).

        Raises UsageError for an empty prompt and what is no picture, AbeRerankError if none could be scored.
        """
        import torch

        candidates = _candidates(reranker, images, prompt)
        maps = [heat for candidate in candidates for heat in _heat_maps(candidate)]
        values = [candidate.score.value for candidate in candidates]
        scores = [float("nan") if value is None else value for value in values]
        return scores, [_text(c) for c in candidates], [torch.cat(maps)] if len(images) == 1 else maps


class PickBest:
    """The best K of some pictures, with their latents, their places and a sheet that shows them all."""

    DESCRIPTION = "Ranks the pictures by how well attributes sit on objects, and gives the best K, best first."
    INPUT_IS_LIST = True
    RETURN_TYPES = ("IMAGE", "LATENT", "INT", "IMAGE")
    RETURN_NAMES = ("images", "latents", "indices", "report")
    OUTPUT_IS_LIST = (True, True, True, False)
    OUTPUT_TOOLTIPS = (
        "The best K, best first: a batch if a batch came in, else a list.",
        "The latents of these; nothing where none are connected.",
        "Where these stood among the pictures, from 0.",
        "The pictures, best first, with score and verdicts.",
    )
    FUNCTION = "pick"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:  # noqa: N802
        """Its inputs."""
        k = ("INT", {"default": 1, "min": 1, "max": 4096, "tooltip": "How many to give."})
        return {
            "required": {"reranker": _RERANKER, "images": _IMAGES, "prompt": _PROMPT, "k": k},
            "optional": {"latents": ("LATENT", {"tooltip": "The latents that were decoded to the pictures."})},
        }

    def pick(
        self,
        reranker: Sequence[Reranker],
        images: Sequence[torch.Tensor],
        prompt: Sequence[str],
        k: Sequence[int],
        latents: Sequence[Latent | None] | None = None,
    ) -> tuple[list[torch.Tensor], list[dict[str, Any] | None], list[int], torch.Tensor]:
        """Pictures, latents and places of the best K, best first, and the report [1, height, width, 3].

        Raises UsageError for an empty prompt, what is no picture, a K above the number of pictures, or latents of
        another number, AbeRerankError where fewer than K could be scored.
        """
        from abe_rerank.report.views import contact_sheet, ranked

        wanted, given = int(_only(k, "k")), [latent for latent in latents or () if latent is not None]
        count = len(apart(images))
        if not 1 <= wanted <= count:
            raise UsageError(f"k is {wanted}, and there are {count} pictures; choose from 1 to {count}")
        if given:
            picked_latents(given, [], count)
        ranking = _ranking(reranker, images, prompt)
        best = ranking.top_k(wanted)
        if unscored := [c for c in best if c.score.value is None]:
            raise AbeRerankError(
                f"of {count} pictures {len(unscored)} of the best {wanted} could not be scored "
                f"({unscored[0].source}: {unscored[0].score.reason}); choose a smaller k"
            )
        indices = [_place(candidate) for candidate in best]
        sheet = contact_sheet(ranked(ranking), [candidate.image for candidate in ranking.candidates])
        chosen = picked_latents(given, indices, count) if given else [None]
        return picked_images(images, indices), [*chosen], indices, shown(sheet)


NODE_CLASS_MAPPINGS = {"AbeLoadBackbone": LoadBackbone, "AbeScore": ScoreImages, "AbePickBest": PickBest}
NODE_DISPLAY_NAME_MAPPINGS = {
    "AbeLoadBackbone": "ABE Load Backbone",
    "AbeScore": "ABE Score",
    "AbePickBest": "ABE Pick Best",
}


def _candidates(reranker: Sequence[Reranker], images: Sequence[torch.Tensor], prompt: Sequence[str]) -> list[Candidate]:
    """The pictures with their scores, in their order, called "image 0" and so on. Raises AbeRerankError if none could
    be scored."""
    from abe_rerank.reranker import as_spec
    from abe_rerank.scoring.stream import scores_of
    from abe_rerank.types import Candidate

    spec, scorer = as_spec(_only(prompt, "prompt")), _only(reranker, "reranker").scorer
    called = [f"image {k}" for k, _ in enumerate(apart(images))]
    made = [picture(image, name) for image, name in zip(apart(images), called, strict=True)]
    scores = scores_of(scorer, spec, [to_be_scored(*one) for one in made])
    if all(score.value is None for score in scores):
        raise AbeRerankError(f"none of {len(scores)} pictures could be scored ({called[0]}: {scores[0].reason})")
    return [Candidate(image, s, source=x) for (image, _), s, x in zip(made, scores, called, strict=True)]


def _ranking(reranker: Sequence[Reranker], images: Sequence[torch.Tensor], prompt: Sequence[str]) -> Ranking:
    from abe_rerank.reranker import as_spec
    from abe_rerank.scoring.stream import ranking_of
    from abe_rerank.types import Settings

    candidates = _candidates(reranker, images, prompt)
    return ranking_of(as_spec(prompt[0]), candidates, Settings(reranker[0].scorer.stamp))


def _place(candidate: Candidate) -> int:
    return int(str(candidate.source).removeprefix("image "))


def _only(values: Sequence[Any], name: str) -> Any:
    """The one value of an input that is not a list of pictures. Raises UsageError where several differ."""
    if not values or any(value is not values[0] and value != values[0] for value in values):
        raise UsageError(f"{name} is a list of {len(values)}; connect one")
    return values[0]


def _text(candidate: Candidate) -> str:
    """A line with the score and one for each pair."""
    from abe_rerank.report.sentences import claim, relations, status_line
    from abe_rerank.runs.records import ScoreRecord

    record = ScoreRecord.of(candidate.score)
    value = "" if record.value is None else f"{record.value:+.3f}, "
    lines = [f"{candidate.source}: {value}{status_line(record)}"]
    return "\n".join([*lines, *(f"{pair.verdict}: {claim(pair)}" for pair in record.pairs), *relations(record)])


def _heat_maps(candidate: Candidate) -> list[torch.Tensor]:
    """The picture lit where each word was read, in the order of the words; itself where nothing was."""
    from abe_rerank.report.pictures import overlays_of, spotlight
    from abe_rerank.runs.generated import candidate_record

    image = _reduced(candidate.image)
    overlays = [overlay for group in overlays_of(candidate_record(1, candidate)) for overlay in group]
    lit = [spotlight(image, overlay.heat.values, overlay.window) for overlay in overlays]
    return [shown(one) for one in lit or [image]]


def _reduced(image: Image) -> Image:
    reduced = image.copy()
    reduced.thumbnail((HEAT_SIDE, HEAT_SIDE))
    return reduced
