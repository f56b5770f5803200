"""``BindingScore``, a metric for torchmetrics: how well a text-to-image model binds attributes to their objects.

Needs the extra ``metrics`` (torchmetrics).

>>> from PIL import Image
>>> from abe_rerank.integrations.torchmetrics import BindingScore
>>> metric = BindingScore()
>>> metric.update([Image.new("RGB", (96, 96), "red")] * 2, ["a red cube", "a blue cube"])
>>> mean = metric.compute()
>>> metric.scored, metric.unscored
(2, 0)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from abe_rerank.reranker import Reranker

try:
    from torchmetrics import Metric
except ImportError as error:
    raise ImportError(
        "BindingScore needs torchmetrics, which is not installed: pip install 'abe-rerank[metrics]'"
    ) from error

if TYPE_CHECKING:
    from abe_rerank.images import ImageLike


_COUNTS = ("scored_images", "unscored_images", "nothing_images", "bound_pairs", "pairs")


class BindingScore(Metric):
    r"""Mean binding score of images for their prompts: :math:`\frac{1}{|S|} \sum_{i \in S} s(x_i, p_i)`.

    :math:`S` are the images that are scored and have something to bind; the others are counted in ``unscored`` and
    ``nothing_to_bind`` and never averaged in. ``bound_rate`` is the share of all attribute-object pairs that are bound.
    All states are sums, so that the values after a reduction are those over the images of all processes.

    As input to ``update``: ``images``, a tensor [N, C, H, W] (uint8, or floats in [0, 1]) or a list of PIL images or
    tensors [C, H, W], and ``prompts``, one text for each image. ``compute`` gives a float64 scalar, nan (with a
    warning) if no image was scored. The properties are those of all processes after ``compute``, and of this process
    alone after an ``update``.

    Args:
        reranker: the scorer with its backbone, None for the built-in one.
        kwargs: what :class:`torchmetrics.Metric` takes.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    scored_images: Tensor
    unscored_images: Tensor
    nothing_images: Tensor
    bound_pairs: Tensor
    pairs: Tensor

    def __init__(self, reranker: Reranker | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reranker = Reranker.from_pretrained() if reranker is None else reranker
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self._reduced: dict[str, int] = {}
        for name in _COUNTS:
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]) -> None:
        """Score images for their prompts and add them up. Raises UsageError for numbers that do not match."""
        for score in self.reranker.score_each(images, prompts):
            if score.value is None:
                self.unscored_images += 1
            elif score.status == "nothing to bind":
                self.nothing_images += 1
            else:
                self.scored_images += 1
                self.total += score.value
                self.pairs += len(score.pairs)
                self.bound_pairs += sum(pair.verdict == "bound" for pair in score.pairs)

    def compute(self) -> Tensor:
        """The mean score, nan if no image was scored."""
        self._reduced = {name: int(getattr(self, name)) for name in _COUNTS}
        if not self.scored_images:
            warnings.warn(
                f"no image was scored ({int(self.unscored_images)} unscored, {int(self.nothing_images)} with nothing "
                "to bind): the binding score is nan",
                UserWarning,
                stacklevel=2,
            )
        return self.total / self.scored_images

    @property
    def scored(self) -> int:
        """How many images were scored."""
        return self._count("scored_images")

    @property
    def unscored(self) -> int:
        """How many images could not be scored."""
        return self._count("unscored_images")

    @property
    def nothing_to_bind(self) -> int:
        """How many images have a prompt in which nothing is to bind."""
        return self._count("nothing_images")

    @property
    def bound_rate(self) -> float:
        """The share of pairs that are bound, nan if no image had one."""
        pairs = self._count("pairs")
        return self._count("bound_pairs") / pairs if pairs else float("nan")

    def _count(self, name: str) -> int:
        """As reduced by the last ``compute``, whose value torchmetrics keeps until something changes; else the own."""
        return int(getattr(self, name)) if self._computed is None else self._reduced[name]
