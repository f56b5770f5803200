"""A reward for fine-tuning loops of text-to-image models (DDPO, Flow-GRPO and their like): how well attributes bind.

``reward(images, prompts)`` gives one float for each image. It is not differentiable: it is for policy gradients.
Trainers that call ``reward(images, prompts, metadata)`` and expect (rewards, info) get that pair from the same object:
``DDPOTrainer(config, binding_reward(), prompt_function, pipeline)`` (TRL; the arguments are its own), and the functions
of flow_grpo and ddpo-pytorch.

A tiny loop: a policy chooses the colours of two shapes, and learns by REINFORCE with the batch as its baseline.

>>> import torch
>>> from PIL import Image, ImageDraw
>>> from abe_rerank.integrations.rewards import binding_reward
>>> reward = binding_reward()
>>> prompt = "a red triangle and a blue diamond"
>>> colours = ["red", "blue", "yellow", "green"]
>>> def draw(first, second):
...     image = Image.new("RGB", (96, 96), "gainsboro")
...     pen = ImageDraw.Draw(image)
...     pen.polygon([(4, 70), (24, 26), (44, 70)], fill=colours[first])
...     pen.polygon([(72, 24), (92, 48), (72, 72), (52, 48)], fill=colours[second])
...     return image
>>> _ = torch.manual_seed(0)
>>> logits = torch.zeros(2, len(colours), requires_grad=True)  # of the triangle, of the diamond
>>> optimizer = torch.optim.Adam([logits], lr=0.3)
>>> history = []
>>> for step in range(12):
...     policy = torch.distributions.Categorical(logits=logits)
...     actions = policy.sample((16,))
...     rewards = reward([draw(*action) for action in actions.tolist()], [prompt] * 16)
...     advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-6)
...     loss = -(advantages * policy.log_prob(actions).sum(dim=1)).mean()
...     optimizer.zero_grad()
...     loss.backward()
...     optimizer.step()
...     history.append(rewards.mean().item())
>>> history[-1] > history[0]
True
>>> [colours[k] for k in logits.argmax(dim=1)]
['red', 'blue']
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import torch

from abe_rerank.errors import UsageError
from abe_rerank.reranker import Reranker
from abe_rerank.types import Score

if TYPE_CHECKING:
    from abe_rerank.images import ImageLike

Term = Literal["value", "binding_difference", "bound"]
_NOT_GIVEN = object()


@dataclass(frozen=True)
class BindingReward:
    """A reward function; made by :func:`binding_reward`. Trainers write its rewards down under its ``__name__``."""

    __name__ = "binding_reward"

    reranker: Reranker
    term: Term
    unscored: float

    @overload
    def __call__(self, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]) -> torch.Tensor: ...

    @overload
    def __call__(
        self, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str], metadata: object
    ) -> tuple[torch.Tensor, dict[str, Any]]: ...

    def __call__(
        self, images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str], metadata: object = _NOT_GIVEN
    ) -> torch.Tensor | tuple[torch.Tensor, dict[str, Any]]:
        """Rewards, float32 [N], on the device of ``images`` if these are a tensor.

        ``images`` is a tensor [N, 3, H, W] of floats in [0, 1] or of uint8, or a list of PIL images; ``prompts`` has
        one for each. With ``metadata``, whatever a trainer knows of its prompts (it is not used), the answer is
        (rewards, info); ``info["status"]`` says of each image whether it was scored. Raises UsageError for numbers
        that do not match, images out of range, or a term that the scorer does not have.
        """
        scores = self.reranker.score_each(images, prompts)
        device = images.device if isinstance(images, torch.Tensor) else None
        rewards = torch.tensor([self._term(score) for score in scores], dtype=torch.float32, device=device)
        rewards = torch.where(rewards.isnan(), self.unscored, rewards)
        return rewards if metadata is _NOT_GIVEN else (rewards, {"status": [score.status for score in scores]})

    def _term(self, score: Score) -> float:
        """The term of a score, nan where nothing could be scored or, but for the value, is to bind."""
        if self.term == "value":
            return float("nan") if score.value is None else score.value
        if score.status != "scored":
            return float("nan")
        if not score.pairs or score.binding_difference is None:
            raise UsageError(
                f"the scorer {self.reranker.scorer.name} has no {self.term}; take the scorer abe, or the term value"
            )
        if self.term == "bound":
            return sum(pair.verdict == "bound" for pair in score.pairs) / len(score.pairs)
        return score.binding_difference


def binding_reward(
    reranker: Reranker | None = None, term: Term = "value", unscored: float = float("nan")
) -> BindingReward:
    """A reward function over a reranker, None for the built-in one.

    ``term`` is "value" (the score itself), "binding_difference" (how far the asked attributes lead in their objects'
    regions) or "bound" (the share of pairs that are bound, in [0, 1]). ``unscored`` is what an image gets that could
    not be scored: nan, which no loop can overlook, or a number of the caller's choice. With "value", a prompt in
    which nothing is to bind is scored by the global score alone, on another scale: compare rewards within a prompt, as
    GRPO and DDPO's statistics by prompt do. With the other terms such an image is unscored. Raises UsageError for an
    unknown term.
    """
    if term not in get_args(Term):
        raise UsageError(f"unknown term {term!r}; choose from {', '.join(get_args(Term))}")
    return BindingReward(Reranker.from_pretrained() if reranker is None else reranker, term, unscored)


@overload
def reward(images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str]) -> torch.Tensor: ...


@overload
def reward(
    images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str], metadata: object
) -> tuple[torch.Tensor, dict[str, Any]]: ...


def reward(
    images: ImageLike | Iterable[ImageLike], prompts: str | Sequence[str], metadata: object = _NOT_GIVEN
) -> torch.Tensor | tuple[torch.Tensor, dict[str, Any]]:
    """The score of each image for its prompt by the built-in model, loaded once: see :class:`BindingReward`."""
    return _built_in()(images, prompts, metadata)


@cache
def _built_in() -> BindingReward:
    return binding_reward()
