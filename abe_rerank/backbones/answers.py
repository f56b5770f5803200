"""Image-text-to-text models of transformers that answer yes or no, with the probability of each answer.

Any class that ``AutoModelForImageTextToText`` loads with its ``AutoProcessor``. The probability of an answer is the
softmax over the first token that the model would write; all spellings of yes ("Yes", " yes", "YES") are summed, and of
no; the rest of the mass is lost, and the answer says how much.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from abe_rerank.backbones.devices import choose
from abe_rerank.backbones.loading import find_model, load_weights, pillow
from abe_rerank.backbones.model_files import (
    check_complete,
    check_finite,
    hushed,
    json_object,
    refusal,
    refuse_own_code,
    weight_files,
)
from abe_rerank.backbones.processors import load_processor
from abe_rerank.errors import AbeRerankError, UsageError

_MARKS = re.compile(r"^[Ġ▁\s]+|</w>$")
"""What byte-pair and SentencePiece vocabularies write for a space before a word, or for its end."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

TOWERS = ("vision_tower", "vision_model")
"""What the classes call the part that sees pictures alone, one row (or several) of pixels for each."""


@dataclass(frozen=True)
class Answers:
    """Probabilities [images, questions] of yes and of no."""

    yes: Tensor
    no: Tensor

    @property
    def lost(self) -> Tensor:
        """The mass that is on neither [images, questions]."""
        return (1 - self.yes - self.no).clamp(min=0)


class Answerer:
    """One model with its processor; made by :func:`load_answerer`."""

    def __init__(self, model: Any, processor: Any, folder: Path, name: str, batch_size: int = 16) -> None:
        self.model, self.processor, self.folder, self.name = model, processor, folder, name
        self.batch_size = batch_size

    @cached_property
    def weights_hash(self) -> str:
        """First 12 hex digits of the SHA-256 over the folder's weight files in the order of their names."""
        digest = hashlib.sha256()
        for file in sorted(self.folder.glob("*.safetensors")) or sorted(self.folder.glob("*.bin")):
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()[:12]

    @cached_property
    def _spellings(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for token, index in self.processor.tokenizer.get_vocab().items():
            found.setdefault(_MARKS.sub("", token).lower(), []).append(index)
        return found

    def tokens(self, word: str) -> list[int]:
        """The ids of all tokens that say ``word``, in any case; of a number up to twelve, as digits too. Raises
        UsageError where there are none."""
        said = word.strip().lower().rstrip(".")
        ids = list(self._spellings.get(said, ()))
        if said in NUMBERS:
            ids += self._spellings.get(str(NUMBERS.index(said)), ())
        if not ids:
            raise UsageError(f"{self.name} cannot answer: its tokenizer has no token for {word!r}")
        return ids

    def asked(self, question: str) -> str:
        """The whole text for one picture and a question: by the processor's chat template, else the picture's token
        and the question."""
        if template := getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": question}]
            said: str = self.processor.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
            )
            return said
        token = getattr(self.processor, "image_token", None)
        return question if token is None else f"{token}{question}"

    @torch.no_grad()
    def answer(
        self, images: Sequence[Image.Image], questions: Sequence[str], expected: Sequence[str] | None = None
    ) -> Answers:
        """Every question about every image, in batches of both; a picture goes through the vision tower once for each
        batch of questions where the class's tower takes rows of pixels.

        ``expected`` is the answer to each question that counts as its yes; None is "yes" for all.
        """
        words = expected or ["yes"] * len(questions)
        step = min(len(questions), self.batch_size)
        together = max(1, self.batch_size // max(1, step))
        rows = []
        for i in range(0, len(images), together):
            some = images[i : i + together]
            columns = [
                self._batch(some, questions[q : q + step], words[q : q + step])
                for q in range(0, len(questions), step or 1)
            ]
            rows.append(torch.cat(columns, dim=1))
        mass = torch.cat(rows) if rows else torch.empty(0, len(questions), 2)
        return Answers(mass[..., 0], mass[..., 1])

    def _batch(self, images: Sequence[Image.Image], questions: Sequence[str], words: Sequence[str]) -> Tensor:
        """[images, questions, 2]: the mass on the question's own of ``words``, and on no."""
        n, q = len(images), len(questions)
        pictures = [[image.convert("RGB")] for image in images for _ in questions]
        texts = [self.asked(question) for _ in images for question in questions]
        inputs = dict(self.processor(images=pictures, text=texts, return_tensors="pt", padding=True))
        inputs.pop("labels", None)
        inputs = {k: v.to(self.model.device) if isinstance(v, Tensor) else v for k, v in inputs.items()}
        for key, value in inputs.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                inputs[key] = value.to(self.model.dtype)
        written = inputs["input_ids"].shape[1]
        last = inputs["attention_mask"].sum(dim=1) - 1
        if self.model.config.get_text_config().is_encoder_decoder or self.model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = self._start(n * q)
        with self._towers_once(n, q):
            logits = self.model(**inputs).logits
        if "decoder_input_ids" in inputs:
            last = torch.zeros_like(last)
        elif logits.shape[1] != written:  # the class puts the picture's tokens in front by itself
            last = last + logits.shape[1] - written
        first = logits[torch.arange(n * q, device=logits.device), last].float().softmax(dim=-1).view(n, q, -1)
        yes = torch.stack([first[:, k, self.tokens(word)].sum(dim=-1) for k, word in enumerate(words)], dim=1)
        return torch.stack([yes, first[..., self.tokens("no")].sum(dim=-1)], dim=-1)

    def _start(self, count: int) -> Tensor:
        config, text = self.model.config, self.model.config.get_text_config()
        ids = (getattr(c, "decoder_start_token_id", None) for c in (config, text))
        start = next((k for k in ids if k is not None), text.bos_token_id)
        return torch.full((count, 1), start, dtype=torch.long, device=self.model.device)

    @contextmanager
    def _towers_once(self, n: int, q: int) -> Iterator[None]:
        towers = [m for name, m in self.model.named_modules() if name.rpartition(".")[2] in TOWERS]
        if q == 1 or not towers:
            yield
            return
        tower = towers[0]
        plain = tower.forward
        tower.forward = lambda *args, **kwargs: _once(plain, n, q, args, kwargs)
        try:
            yield
        finally:
            del tower.forward


def _once(plain: Any, n: int, q: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """``plain`` on one of every ``q`` equal pictures, each of which may be several rows, its results repeated; on all
    of them where the rows are not those of ``n`` pictures ``q`` times in a row."""
    given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    rows = given[0].shape[0]
    per = rows // (n * q)

    def parted(value: Tensor) -> Tensor:
        return value.view(n, q, per, *value.shape[1:])

    if rows != n * q * per or any(
        value.shape[0] != rows or not torch.equal(parted(value), parted(value)[:, :1].expand_as(parted(value)))
        for value in given
    ):
        return plain(*args, **kwargs)

    def less(value: Any) -> Any:
        return parted(value)[:, 0].flatten(0, 1) if isinstance(value, Tensor) else value

    def more(value: Any) -> Any:
        if isinstance(value, Tensor) and value.shape[:1] == (n * per,):
            again = value.view(n, 1, per, *value.shape[1:]).expand(n, q, per, *value.shape[1:])
            return again.reshape(rows, *value.shape[1:])
        if isinstance(value, tuple):
            return tuple(map(more, value))
        return value

    found = plain(*map(less, args), **{name: less(value) for name, value in kwargs.items()})
    if isinstance(found, Tensor):
        return more(found)
    return type(found)(**{name: more(value) for name, value in found.items()})


def load_answerer(
    name: str | Path, device: str | torch.device | None = None, dtype: str | torch.dtype | None = None
) -> Answerer:
    """An image-text-to-text model from a folder or a hub name (``owner/name@revision``).

    Raises UsageError for a name under which there is none, a model that cannot answer questions, files that do not fit
    together; AbeRerankError where transformers cannot load it, as where its processor needs a package that is
    not installed.
    """
    import transformers

    folder = find_model(name, None, False, what="model that answers questions")
    kind = _checked_kind(folder, str(name))
    refuse_own_code(folder)
    weights, place, what = weight_files(folder), choose(device, dtype), f"the model {name}"
    try:
        with hushed():
            model, info = load_weights(transformers.AutoModelForImageTextToText, folder, place.dtype, weights)
        check_complete(info, what)
        check_finite(model, what)
        with hushed():
            processor = load_processor(folder, kind, **pillow())
    except AbeRerankError:
        raise
    except Exception as error:
        raise refusal(what, error, weights.pickled) from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or getattr(processor, "image_processor", None) is None:
        raise UsageError(f"{name} holds no processor of pictures and texts; save it there: processor.save_pretrained()")
    tokenizer.padding_side = "right"  # a causal model's answer does not see what stands behind it
    found = Answerer(_quiet(model).to(place.device), processor, folder, str(name))
    for word in ("yes", "no"):
        found.tokens(word)
    return found


def _quiet(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


def _checked_kind(folder: Path, name: str) -> str:
    """The model's type. Raises UsageError for one that transformers know, or do not, as none that answers in words."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as ANSWERING

    kind = str(json_object(folder / "config.json").get("model_type"))
    if kind not in ANSWERING:
        raise UsageError(
            f"{name} is a model of type {kind!r}, which cannot answer questions; vqa takes image-text-to-text models "
            f"of transformers {transformers.__version__}, as of type llava, paligemma, idefics3 or qwen2_5_vl"
        )
    return kind
