"""``AbeRerankStep``, a block of modular pipelines of diffusers: ranks the images of each prompt, best-bound first.

    blocks = StableDiffusionXLAutoBlocks()
    blocks.sub_blocks.insert("rerank", AbeRerankStep(), len(blocks.sub_blocks))
    pipeline = blocks.init_pipeline("stabilityai/stable-diffusion-xl-base-1.0")
    pipeline.load_components()
    best = pipeline(prompt="a yellow cylinder and a red cube", num_images_per_prompt=8, output="images")[0]

It stands after the block that decodes, and takes its ``images`` and the pipeline's ``prompt``. Another CLIP-like model
scores after ``pipeline.update_components(reranker=BindingReranker("owner/name"))``. Modular pipelines are new in
diffusers and marked experimental there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffusers import ConfigMixin, ModularPipelineBlocks
from diffusers.configuration_utils import register_to_config
from diffusers.modular_pipelines import ComponentSpec, InputParam, OutputParam

from abe_rerank.errors import UsageError
from abe_rerank.images import to_pil_list
from abe_rerank.reranker import Reranker, as_spec
from abe_rerank.scoring.stream import ranking_of, scores_of
from abe_rerank.types import Candidate, Settings

if TYPE_CHECKING:
    import torch

    from abe_rerank.types import Ranking


class BindingReranker(ConfigMixin):  # type: ignore[misc]
    """The component that scores: the names of a CLIP-like model (None for the built-in one) and of a scorer."""

    config_name = "reranker_config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, backbone: str | None = None, scorer: str = "abe") -> None:
        self._backbone, self._scorer = backbone, scorer
        self._loaded: dict[str, Reranker] = {}

    def on(self, device: torch.device | str) -> Reranker:
        """The reranker on a device, loaded when it is first asked for."""
        place = str(device)
        if place not in self._loaded:
            self._loaded = {place: Reranker.from_pretrained(self._backbone, self._scorer, device=place)}
        return self._loaded[place]


class AbeRerankStep(ModularPipelineBlocks):  # type: ignore[misc]
    """Orders the images of each prompt by how well its attributes sit on their objects."""

    @property
    def description(self) -> str:
        """What the block does."""
        return "Ranks the images of each prompt by attribute binding (ABE-CLIP), best first"

    @property
    def expected_components(self) -> list[Any]:
        """The reranker, made of its configuration."""
        return [ComponentSpec("reranker", BindingReranker, default_creation_method="from_config")]

    @property
    def inputs(self) -> list[Any]:
        """Decoded images, those of a prompt together, and the prompt or prompts."""
        return [
            InputParam("images", required=True, description="The decoded images, those of a prompt together"),
            InputParam("prompt", required=True, description="The prompt, or a list of them"),
            InputParam("generator", description="A generator for each image tells its seed"),
        ]

    @property
    def intermediate_outputs(self) -> list[Any]:
        """The images again, as PIL images and best first, with scores, seeds and rankings."""
        return [
            OutputParam("images", description="PIL images, those of a prompt together, best first"),
            OutputParam("scores", description="The score of each image, None where it could not be scored"),
            OutputParam("seeds", description="The seed of each image, None where its generator is not known"),
            OutputParam("rankings", description="A ranking of each prompt, with the pairs of each image"),
        ]

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Rank. Raises UsageError where the images cannot be shared out among the prompts."""
        block = self.get_block_state(state)
        prompts = [block.prompt] if isinstance(block.prompt, str) else list(block.prompt)
        scorer = components.reranker.on(components._execution_device).scorer
        images = to_pil_list(block.images)
        seeds = _seeds(block.generator, len(images))
        count, rest = divmod(len(images), len(prompts))
        if rest or not images:
            raise UsageError(
                f"{len(images)} images of {len(prompts)} prompts: each prompt needs equally many, one or more"
            )
        rankings: list[Ranking] = []
        for number, prompt in enumerate(prompts):
            spec, own = as_spec(prompt), slice(number * count, (number + 1) * count)
            drawn = zip(images[own], scores_of(scorer, spec, images[own]), seeds[own], strict=True)
            rankings.append(ranking_of(spec, [Candidate(*one) for one in drawn], Settings(scorer.stamp)))
        ordered = [candidate for ranking in rankings for candidate in ranking.candidates]
        block.images = [candidate.image for candidate in ordered]
        block.scores = [candidate.score.value for candidate in ordered]
        block.seeds = [candidate.seed for candidate in ordered]
        block.rankings = rankings
        self.set_block_state(state, block)
        return components, state


def _seeds(generator: Any, count: int) -> list[int | None]:
    """The seed with which each image's own generator began; None where they share one, or there is none."""
    own = generator if isinstance(generator, list) else []
    return [one.initial_seed() for one in own] if len(own) == count else [None] * count
