"""VQAScore (arXiv 2404.01291): how sure a model that answers questions is that the picture shows the prompt.

``vqa:MODEL`` with any image-text-to-text model of transformers. The value is P(yes) of the question for the whole
prompt. Each pair has questions of its own, as in BLIP-VQA scoring and DSG: whether the object is there, then whether it
has the attribute, then whether it has what the prompt gives to another object. A pair's ``evidence`` and ``margin`` are
such probabilities here, and its ``probability`` is that of the object times that of the attribute on it. The score's
parts are the whole question and the atoms of the prompt, each with the mass on yes and no as its weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL.Image import Image
from torch import Tensor

from abe_rerank import __version__
from abe_rerank.backbones import Backbone
from abe_rerank.backbones.answers import Answerer, load_answerer
from abe_rerank.scoring.questions import WHOLE, PairQuestions, atoms, pair_questions, whole_question
from abe_rerank.scoring.stream import FeatureScorer, status_of
from abe_rerank.types import PairScore, Part, Region, Score, Spec, Verdict


@dataclass(frozen=True)
class Album:
    """Pictures as they are: what a question will look at is not known before."""

    images: tuple[Image, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, images: Sequence[int]) -> Album:
        """Some of the images."""
        return Album(tuple(self.images[n] for n in images))


@dataclass(frozen=True)
class Answer:
    """The probabilities of yes and no to one question."""

    yes: float
    no: float

    @property
    def affirmed(self) -> bool:
        """Whether yes is likelier than no."""
        return self.yes > self.no


class VqaScorer(FeatureScorer):
    """P(yes) of a model that answers questions. ``backbone`` says where and in which number type it computes."""

    name = "vqa"
    shares_features = False

    def __init__(self, backbone: Backbone, model: str) -> None:
        self.backbone = backbone
        self.model: Answerer = load_answerer(model, backbone.device, backbone.dtype)

    @property
    def settings_record(self) -> Mapping[str, object]:
        """The question for the whole prompt."""
        return {"question": repr(WHOLE)}

    @cached_property
    def stamp(self) -> str:
        """Version, number type, the class of the model that answers with the hash of its weights, the question."""
        dtype = str(self.model.model.dtype).removeprefix("torch.")
        kind = type(self.model.model).__name__
        return f"abe-rerank {__version__} {dtype} | vqa | {kind} {self.model.weights_hash} | question={WHOLE!r}"

    def encode(self, images: Sequence[Image]) -> Album:
        """See :class:`abe_rerank.scoring.Scorer`."""
        return Album(tuple(images))

    def prepare(self, specs: Sequence[Spec]) -> Sequence[str]:
        """The question of each prompt."""
        return [whole_question(spec.prompt) for spec in specs]

    def score_features(self, features: Album, prepared: Sequence[str]) -> Tensor:
        """P(yes) [images, prompts]."""
        return self.model.answer(features.images, prepared).yes.float().cpu()

    def explain_features(self, features: Album, spec: Spec) -> list[Score]:
        """One Score per image with the answer to the whole, to each atom, and a verdict on each pair."""
        asked, pairs = atoms(spec), pair_questions(spec)
        whole = whole_question(spec.prompt)
        ours = [q for pair in pairs for q in (pair.presence, pair.asked, *pair.instead)]
        right = dict.fromkeys([whole, *ours], "yes") | {atom.question: atom.answer for atom in asked}
        questions = list(right)
        answers = self.model.answer(features.images, questions, list(right.values()))
        found = []
        for yes, no in zip(answers.yes.tolist(), answers.no.tolist(), strict=True):
            said = {q: Answer(a, b) for q, a, b in zip(questions, yes, no, strict=True)}
            parts = [_part("question", whole, said[whole])]
            parts += [
                _part(atom.kind, atom.question, said[atom.question])
                if atom.answer.lower() == "yes"
                else Part(atom.kind, f"{atom.question} ({atom.answer})", said[atom.question].yes)
                for atom in asked
            ]
            scored = tuple(_pair(pair, said) for pair in pairs)
            found.append(Score(said[whole].yes, status_of(spec), self.stamp, pairs=scored, parts=tuple(parts)))
        return found


def _part(kind: str, question: str, answer: Answer) -> Part:
    return Part(kind, question, answer.yes, weight=min(1.0, answer.yes + answer.no))  # type: ignore[arg-type]


def _pair(pair: PairQuestions, said: Mapping[str, Answer]) -> PairScore:
    there, has = said[pair.presence], said[pair.asked]
    others = [said[question] for question in pair.instead]
    strongest = max(range(len(others)), key=lambda k: others[k].yes, default=None)
    against = has.no if strongest is None else others[strongest].yes
    verdict = verdict_of(there, has, None if strongest is None else others[strongest])
    swapped = None if verdict != "swapped" else strongest
    return PairScore(
        attribute=pair.attribute,
        object=pair.object,
        evidence=has.yes,
        competitor="" if strongest is None else pair.competitors[strongest],
        margin=has.yes - against,
        region=EVERYWHERE,
        verdict=verdict,
        probability=there.yes * has.yes,
        competitor_probability=None if strongest is None else there.yes * others[strongest].yes,
        seen=pair.competitors[swapped] if swapped is not None else "" if verdict == "wrong" else None,
        seen_of=pair.owners[swapped] if swapped is not None else None,
    )


def verdict_of(there: Answer, has: Answer, instead: Answer | None) -> Verdict:
    """``not found`` where the object's presence is denied, whatever else is said; ``bound`` where the attribute is
    affirmed and no less likely than its competitor; ``swapped`` where the competitor is affirmed and likelier;
    ``wrong`` where the attribute is denied, and what is there instead was not asked; else ``unsure``."""
    if not there.affirmed:
        return "not found"
    if instead is not None and instead.affirmed and instead.yes > has.yes:
        return "swapped"
    if not has.affirmed:
        return "wrong"
    return "bound" if instead is None or has.yes >= instead.yes else "unsure"


EVERYWHERE = Region(np.ones((1, 1)), (0.0, 0.0, 1.0, 1.0))
"""A question is asked of the whole picture."""
