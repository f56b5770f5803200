"""Loading models for a command: one bar, and the libraries' chatter turned off."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abe_rerank.drawing.pipelines import Pipeline
    from abe_rerank.reranker import Reranker


def load_models(
    model: str | None,
    backbone: str | None,
    scorer: str,
    device: str | None,
    dtype: str | None,
    image_size: str | None = None,
    *,
    shown: bool = True,
) -> tuple[Pipeline, Reranker]:
    """The text-to-image pipeline and the reranker, on one device and with one dtype.

    A progress bar stands on stderr if it is to be ``shown``.
    """
    from tqdm import tqdm

    form = "{desc}: {n_fmt}/{total_fmt} [{elapsed}]"
    with tqdm(total=3, desc="loading libraries", bar_format=form, leave=False, disable=not shown) as bar:
        quiet_libraries()
        from abe_rerank.drawing.pipelines import load_pipeline

        step(bar, "loading the backbone")
        reranker = load_reranker(backbone, scorer, device, dtype, image_size)
        step(bar, "loading the text-to-image model")
        place = reranker.scorer.backbone
        pipeline = load_pipeline(model, place.device, place.dtype)
        bar.update()
    return pipeline, reranker


def load_reranker(
    backbone: str | None, scorer: str, device: str | None, dtype: str | None, image_size: str | None = None
) -> Reranker:
    """The reranker on its backbone."""
    quiet_libraries()
    from abe_rerank.reranker import Reranker

    return Reranker.from_pretrained(backbone, scorer, device=device, dtype=dtype, image_size=image_size)


def quiet_libraries() -> None:
    """Silence warnings and loading bars of diffusers and transformers, unless ``--debug`` asks for them."""
    if logging.getLogger("abe_rerank").isEnabledFor(logging.DEBUG):
        return
    import diffusers
    import huggingface_hub
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning)
    huggingface_hub.utils.logging.set_verbosity_error()
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def step(bar: object, text: str) -> None:
    """Move a bar on by one and name what comes now."""
    update: Callable[[], object] = bar.update  # type: ignore[attr-defined]
    update()
    bar.set_description_str(text)  # type: ignore[attr-defined]
