"""Real classes at tiny random configurations: a StableDiffusionPipeline and a SigLIP backbone, as ordinary folders."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Before torch is loaded, here and in child processes: where other work wants the cores too, threads that wait for each
# other by spinning take ten times as long as one. The tests' models are too small to gain by a second thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Child processes run the checkout too, as pytest does (pyproject.toml), not an installed wheel, which holds less.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
)

import pytest
from browser import browser  # noqa: F401  (a fixture)

# A shell that starts pytest in the background makes it and its children ignore SIGINT, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

WORDS = [
    *("a", "an", "and", "the", "next", "to", "that", "is"),
    *("red", "green", "blue", "yellow", "small", "large", "striped", "cube", "sphere", "cylinder", "star"),
]
WINDOW = 16


def word_tokenizer(path: Path, length: int = WINDOW):
    """A word-level tokenizer with <unk>, <pad> and </s>, as the built-in models have."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: k for k, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>", model_max_length=length
    )
    fast.save_pretrained(path)
    return fast


def tiny_text_config(tokenizer, **extra):
    """A CLIP text encoder of one small layer."""
    from transformers import CLIPTextConfig

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    return CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=WINDOW, **sizes, **tokens, **extra)


def tiny_parts(cross_attention: int, **unet) -> dict:
    """VAE, UNet and scheduler of a latent diffusion model that draws 16x16 images."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    network = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        cross_attention_dim=cross_attention,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **unet,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    return {"vae": vae, "unet": network.eval(), "scheduler": DDIMScheduler(clip_sample=False, steps_offset=1)}


def tiny_pipeline(tokenizer, seed: int = 0):
    """A StableDiffusionPipeline with random weights."""
    import torch
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(seed)
    encoder = CLIPTextModel(tiny_text_config(tokenizer)).eval()
    return StableDiffusionPipeline(
        text_encoder=encoder,
        tokenizer=tokenizer,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **tiny_parts(16),
    )


def tiny_xl_pipeline(tokenizer, seed: int = 0):
    """A StableDiffusionXLPipeline with random weights."""
    import torch
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    config = tiny_text_config(tokenizer, projection_dim=16)
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    return StableDiffusionXLPipeline(
        text_encoder=CLIPTextModel(config).eval(),
        text_encoder_2=CLIPTextModelWithProjection(config).eval(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        **tiny_parts(32, **added, projection_class_embeddings_input_dim=16 + 6 * 8),
    )


def tiny_backbone(path: Path, seed: int = 0) -> None:
    """A SiglipModel with random weights, saved with its tokenizer and image processor."""
    import torch
    from transformers import SiglipConfig, SiglipModel

    try:
        from transformers import SiglipImageProcessorPil as SiglipImageProcessor
    except ImportError:
        from transformers import SiglipImageProcessor

    torch.manual_seed(seed)
    tokenizer = word_tokenizer(path)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = layers | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": WINDOW,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }
    config = SiglipConfig(
        text_config=text | {"bos_token_id": 1, "projection_size": 16},
        vision_config=layers | {"image_size": 16, "patch_size": 4},
    )
    SiglipModel(config).eval().save_pretrained(path)
    SiglipImageProcessor(size={"height": 16, "width": 16}).save_pretrained(path)


@pytest.fixture(scope="session", autouse=True)
def no_data_of_the_user(tmp_path_factory) -> None:
    """What the user's own tuning keeps is neither used nor changed, in child processes either."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory) -> Path:
    """A folder with a tiny random StableDiffusionPipeline."""
    folder = tmp_path_factory.mktemp("models") / "text-to-image"
    tiny_pipeline(word_tokenizer(folder / "raw-tokenizer")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline(pipeline_folder):
    """The tiny pipeline, loaded."""
    from abe_rerank.drawing.pipelines import load_pipeline

    return load_pipeline(pipeline_folder, device="cpu")


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory) -> Path:
    """A folder with a tiny random SigLIP backbone."""
    folder = tmp_path_factory.mktemp("models") / "backbone"
    folder.mkdir()
    tiny_backbone(folder)
    return folder


@pytest.fixture(scope="session")
def reranker(backbone_folder):
    """An ABE reranker on the tiny backbone."""
    from abe_rerank import Reranker

    return Reranker.from_pretrained(backbone_folder, device="cpu")


@pytest.fixture
def cli(capsys):
    """Run a command line; gives (exit code, stdout, stderr). What --debug sets ends with the test."""
    from abe_rerank.cli.app import main

    log = logging.getLogger("abe_rerank")
    level = log.level

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    yield run
    log.setLevel(level)
