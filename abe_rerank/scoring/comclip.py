"""ComCLIP (arXiv 2211.13854): the image, and what its parts add, weighted by how well each part fits its own words.

Training-free. For each object of the prompt there is a sub-image, black outside the object's box, and for each
relation the overlay of its two objects' sub-images. With e the embedding of the whole image, e_i those of the
sub-images, not scaled to length 1, and w_i = <words of i, e_i> / the sum of the same over i, the image counts as
E = e + sum of w_i e_i, and the score is the cosine of E and the whole prompt.

The paper's boxes come from a dense captioner, matched to words by a language model; here from the prompt's own parse
and ABE's regions, or from the caller (a detector's). Ours: an object's words are its noun with its attributes; a
sub-image that speaks against its words (a product below 0, which CLIP hardly has and SigLIP often) has weight 0; if
all do, E = e.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from abe_rerank.backbones import Backbone, ImageFeatures
from abe_rerank.backbones.lengths import encode_unscaled
from abe_rerank.scoring.abe import AbeScorer
from abe_rerank.scoring.boxes import BoxedSpec, boxes_by_object, words_of
from abe_rerank.scoring.placing import region_box
from abe_rerank.scoring.stream import FeatureScorer, status_of
from abe_rerank.types import Box, Part, Score, Spec


@dataclass(frozen=True)
class ComSettings:
    """``objects`` and ``relations``: whether sub-images of objects, and of relations, take part."""

    objects: bool = True
    relations: bool = True


@dataclass(frozen=True)
class Pictures:
    """Images as they are, what the backbone sees of them (``features``), and their embeddings [N, D], unscaled."""

    images: tuple[Image.Image, ...]
    features: ImageFeatures
    whole: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, images: Sequence[int]) -> Pictures:
        """Some of the images."""
        rows = torch.tensor(list(images), dtype=torch.long, device=self.whole.device)
        return Pictures(tuple(self.images[n] for n in images), self.features.take(images), self.whole[rows])


@dataclass(frozen=True)
class SubImage:
    """A part of the prompt: its words, and the objects (by their places in the parse) whose boxes it shows."""

    words: str
    objects: tuple[int, ...]


def sub_images(spec: Spec, settings: ComSettings | None = None) -> tuple[SubImage, ...]:
    """The sub-images that a prompt asks for, negated objects left out."""
    chosen = settings or ComSettings()
    there = [k for k, thing in enumerate(spec.objects) if not thing.negated]
    found = [SubImage(words_of(spec, k), (k,)) for k in there] if chosen.objects else []
    if chosen.relations:
        pairs = [(r, (r.subject, r.object)) for r in spec.relations]
        found += [SubImage(r.text, both) for r, both in pairs if set(both) <= set(there)]
    return tuple(found)


def blacked_out(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The image, black outside the boxes; each box keeps a pixel at least."""
    shown = Image.new("RGB", image.size)
    for left, top, right, bottom in boxes:
        x, y = min(int(left * image.width), image.width - 1), min(int(top * image.height), image.height - 1)
        edges = (x, y, max(x + 1, round(right * image.width)), max(y + 1, round(bottom * image.height)))
        shown.paste(image.convert("RGB").crop(edges), edges[:2])
    return shown


def composed(whole: Tensor, parts: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """(E [n, d], weights [n, i]) from e [n, d], e_i [n, i, d] and the vectors of their words [i, d]."""
    fits = torch.einsum("nid,id->ni", parts, words).clamp(min=0)
    total = fits.sum(dim=-1, keepdim=True)
    weights = torch.where(total > 0, fits / total.clamp(min=torch.finfo(fits.dtype).tiny), torch.zeros_like(fits))
    return whole + torch.einsum("ni,nid->nd", weights, parts), weights


class ComClipScorer(FeatureScorer):
    """ComCLIP on any backbone. Objects are where a :class:`abe_rerank.scoring.boxes.BoxedSpec` says, one without a box
    anywhere in the image; else they are looked for by alignment."""

    name = "comclip"
    settings_type = ComSettings
    shares_features = False

    def __init__(self, backbone: Backbone, settings: ComSettings | None = None) -> None:
        self.backbone, self.settings = backbone, settings or ComSettings()
        self._finder = AbeScorer(backbone)

    @property
    def settings_record(self) -> Mapping[str, object]:
        """The settings by name, and how objects are looked for."""
        finder = self._finder.settings
        looked = {name: getattr(finder, name) for name in ("patch_readout", "region", "region_query", "competition")}
        return asdict(self.settings) | looked

    @property
    def patch_readout(self) -> str | None:
        """The dense readout in which objects are looked for."""
        return self._finder.patch_readout

    @torch.no_grad()
    def encode(self, images: Sequence[Image.Image]) -> Pictures:
        """See :class:`abe_rerank.scoring.Scorer`; sub-images are encoded once it is known what is asked."""
        features = self.backbone.encode_images(images, self.patch_readout)
        return Pictures(tuple(images), features, encode_unscaled(self.backbone, images))

    def prepare(self, specs: Sequence[Spec]) -> Sequence[Spec]:
        """The prompts themselves."""
        return specs

    @torch.no_grad()
    def score_features(self, features: Pictures, prepared: Sequence[Spec]) -> Tensor:
        """Scores [images, prompts]."""
        found = [[s.value if s.value is not None else float("nan") for s in self._each(features, p)] for p in prepared]
        return torch.tensor(found).view(len(prepared), len(features)).T

    @torch.no_grad()
    def explain_features(self, features: Pictures, spec: Spec) -> list[Score]:
        """One Score per image with the global cosine, and each sub-image with its product, weight and box."""
        return self._each(features, spec)

    def _each(self, seen: Pictures, spec: Spec) -> list[Score]:
        given = boxes_by_object(spec, dict(spec.boxes)) if isinstance(spec, BoxedSpec) else None
        asked = sub_images(spec, self.settings)
        sentence = self.backbone.encode_texts([spec.prompt])[0]
        plain = (F.normalize(seen.whole, dim=-1) @ sentence).tolist()
        if not asked:
            return [Score(value, status_of(spec), self.stamp, global_score=value) for value in plain]
        boxes = [given] * len(seen) if given is not None else self._found(seen.features, spec)
        shown = [[[at.get(k, _WHOLE) for k in part.objects] for part in asked] for at in boxes]
        pictures = [blacked_out(image, part) for image, row in zip(seen.images, shown, strict=True) for part in row]
        parts = encode_unscaled(self.backbone, pictures).view(len(seen), len(asked), -1)
        words = self.backbone.encode_texts([part.words for part in asked])
        together, weights = composed(seen.whole, parts, words)
        values = (F.normalize(together, dim=-1) @ sentence).tolist()
        fits = torch.einsum("nid,id->ni", F.normalize(parts, dim=-1), words).tolist()
        found = []
        for n, value in enumerate(values):
            told = [
                Part("sub-image", part.words, fits[n][i], float(weights[n, i]), _around(shown[n][i]))
                for i, part in enumerate(asked)
            ]
            score = Score(value, status_of(spec), self.stamp, global_score=plain[n])
            found.append(replace(score, parts=tuple(told)))
        return found

    def _found(self, features: ImageFeatures, spec: Spec) -> list[dict[int, Box]]:
        """The box of each object's region by alignment, for each image."""
        _, table = self._finder.table([spec])
        regions = self._finder.terms(features, table).regions
        places = [k for k, thing in enumerate(spec.objects) if not thing.negated]
        return [
            {
                place: region_box(features.on_grid(n, regions[n, :, 0, k]).float().cpu().numpy(), features.windows[n])
                for k, place in enumerate(places)
            }
            for n in range(len(features))
        ]


_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def _around(boxes: Sequence[Box]) -> Box:
    """The box around all of them."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (min(lefts), min(tops), max(rights), max(bottoms))
