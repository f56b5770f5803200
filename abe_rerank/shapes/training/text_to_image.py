"""Trains the built-in text-to-image model: a small latent diffusion UNet and its text encoder, from nothing.

v-prediction (arXiv 2202.00512) on betas rescaled to zero terminal SNR (arXiv 2305.08891), a tenth of the captions
dropped for classifier-free guidance. The text encoder, a stock ``CLIPTextModel`` over whole words, learns along. What
is kept is the moving average of the weights, as an ordinary ``StableDiffusionPipeline`` folder.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from abe_rerank.shapes.training import vae as vae_training
from abe_rerank.shapes.training.calm_scenes import placed_caption
from abe_rerank.shapes.training.common import Pace, learning_rate, load_checkpoint, log_to, save_checkpoint
from abe_rerank.shapes.training.first_weights import start_as_prefix_sums
from abe_rerank.shapes.training.latents import finished_vae, scene_latents
from abe_rerank.shapes.training.muon import muon_and_adam
from abe_rerank.shapes.training.pipeline_folder import NOISE, save_pipeline
from abe_rerank.shapes.training.tokenizer import word_tokenizer

log = logging.getLogger(__name__)

TOKENS, WIDTH = 32, 160
DROPPED = 0.1
EMA_DECAY = 0.99
LATE = 0.7
"""Below 1 there is more training at high noise, where it is the words that tell what to draw."""


@dataclass
class Networks:
    """What is trained: both take part in every step."""

    unet: UNet2DConditionModel
    text: CLIPTextModel
    tokenizer: PreTrainedTokenizerFast = field(default_factory=lambda: word_tokenizer(TOKENS, framed=True))

    @property
    def modules(self) -> nn.ModuleDict:
        """Both networks as one module, for parameters and state dicts."""
        return nn.ModuleDict({"unet": self.unet, "text": self.text})


def new_networks(channels: tuple[int, int, int, int] = (16, 48, 96, 128), groups: int = 8) -> Networks:
    """Untrained networks: the UNet attends to the words at its two coarser resolutions, and is thin at the finest."""
    unet = UNet2DConditionModel(
        sample_size=vae_training.SIDE // vae_training.FACTOR,
        in_channels=3,
        out_channels=3,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=(1, 2, 3, 4),
        norm_num_groups=groups,
        use_linear_projection=True,
    )
    tokenizer = word_tokenizer(TOKENS, framed=True)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=5,
            max_position_embeddings=TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            attn_implementation="eager",  # type: ignore[call-arg]
        )
    )
    return Networks(unet, text, tokenizer)


def captions_of(indices: list[int], rng: np.random.Generator, dropped: float = DROPPED) -> list[str]:
    """A fresh wording for each scene; some are empty, for guidance."""
    return ["" if rng.random() < dropped else placed_caption(k, rng) for k in indices]


def tokens_of(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    """Token ids [n, TOKENS], padded and cut as the pipeline does it."""
    ids = tokenizer(texts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids
    assert isinstance(ids, Tensor)
    return ids


def predict(networks: Networks, noisy: Tensor, times: Tensor, ids: Tensor) -> Tensor:
    """The velocity [n, 3, h, w] that the networks see in noisy latents under a caption."""
    words = networks.text(ids).last_hidden_state
    out: Tensor = networks.unet(noisy, times, words).sample
    return out


Examples = Callable[[np.random.Generator, int, float], tuple[Tensor, Tensor]]
"""(generator, how many, share of empty captions) to latents float32 [n, 3, h, w] and token ids [n, TOKENS]."""


def placed_examples(latents: NDArray[np.float16], tokenizer: PreTrainedTokenizerFast) -> Examples:
    """Of the first course: scenes by lot out of ``latents``, each with a fresh wording."""

    def examples(rng: np.random.Generator, size: int, dropped: float) -> tuple[Tensor, Tensor]:
        chosen = np.sort(rng.integers(len(latents), size=size))
        ids = tokens_of(tokenizer, captions_of(chosen.tolist(), rng, dropped))
        return torch.from_numpy(latents[chosen].astype(np.float32)), ids

    return examples


class Training:
    """Everything that changes from step to step, and how a step changes it."""

    def __init__(self, networks: Networks, examples: Examples, steps: int, peak: float, seed: int) -> None:
        self.networks, self.examples, self.steps, self.peak, self.seed = networks, examples, steps, peak, seed
        self.device = networks.unet.device
        self.average = copy.deepcopy(networks)
        self.noise = DDPMScheduler(**NOISE)
        self.optimizers = muon_and_adam(networks.modules, peak)
        self.step = 0

    def advance(self, batch: int, run: Any, half: bool, rate: float | None = None) -> Tensor:
        """One step on ``batch`` scenes; ``run`` is :func:`predict`, maybe compiled. Returns the loss.

        ``rate`` is the learning rate, by default a half cosine's.
        """
        rng = np.random.default_rng((self.seed, self.step))
        clean, ids = (part.to(self.device) for part in self.examples(rng, batch, DROPPED))
        if rate is None:
            rate = learning_rate(self.step, self.steps, self.peak, warmup=min(150, self.steps // 4))
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32)).to(self.device)
        # Stratified over the batch: every step sees the whole range of noise.
        shares = ((rng.permutation(batch) + rng.random(batch)) / batch) ** LATE
        times = torch.from_numpy((shares * len(self.noise.timesteps)).astype(np.int64)).to(self.device)
        noisy = self.noise.add_noise(clean, noise, times)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            out = run(self.networks, noisy, times, ids)
        loss = F.mse_loss(out.float(), self.noise.get_velocity(clean, noise, times))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.networks.modules.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.modules.parameters(), self.networks.modules.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "networks": self.networks.modules.state_dict(),
            "average": self.average.modules.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a checkpoint."""
        self.networks.modules.load_state_dict(state["networks"])
        self.average.modules.load_state_dict(state["average"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.step = state["step"]


def main(
    out: Annotated[Path, typer.Option(help="where the finished pipeline folder goes")] = Path(
        "checkpoints/text-to-image"
    ),
    work: Annotated[Path, typer.Option(help="checkpoints, latents and logs")] = Path("checkpoints/work"),
    vae: Annotated[Path, typer.Option(help="folder of the autoencoder, trained to its end first")] = Path(
        "checkpoints/vae"
    ),
    steps: Annotated[int, typer.Option(min=1)] = 4500,
    batch: Annotated[int, typer.Option(min=1)] = 64,
    scenes: Annotated[int, typer.Option(min=1)] = 30_000,
    peak: Annotated[float, typer.Option(help="peak learning rate")] = 1.5e-3,
    device: str = "cpu",
    half: Annotated[bool, typer.Option(help="bfloat16 by autocast: faster where the processor knows it")] = False,
) -> None:
    """Trains the whole model, autoencoder first; the same command goes on from the last checkpoint."""
    vae_training.main(out=vae, device=device, half=half)
    log_to(work)
    latents = scene_latents(work, scenes)
    torch.manual_seed(0)
    networks = new_networks()
    networks.modules.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = load_checkpoint(work / "last.pt", device)
    if state is None:
        texts = captions_of(list(range(min(scenes, 4000))), np.random.default_rng(1))
        start_as_prefix_sums(networks.text, tokens_of(networks.tokenizer, texts), networks.tokenizer.get_vocab())
    examples = placed_examples(latents, networks.tokenizer)
    training, pace = Training(networks, examples, steps, peak, seed=0), Pace(every=60)
    if state:
        training.restore(state)
        pace.spent = state["seconds"]
    if half:
        networks.unet.set_attn_processor(AttnProcessor())  # in bfloat16 faster than the fused one on CPU
    running = 0.0
    while training.step < steps:
        loss = float(training.advance(batch, predict, half=half))
        running = 0.98 * running + 0.02 * loss if running else loss
        if training.step % 50 == 0:
            log.info("step %d of %d, loss %.4f", training.step, steps, running)
        if pace.due() or training.step == steps:
            save_checkpoint(work / "last.pt", {**training.state(), "seconds": pace.spent})
    save_pipeline(out, finished_vae(vae / "last.pt"), training.average.unet, training.average.text, networks.tokenizer)
    log.info("trained for %.0f s", pace.spent)
