"""What ``summarize --json`` and ``compare --json`` print, schema version 1.

Pydantic models: ``Summary.model_validate_json(text)`` checks and reads a summary, ``Comparison`` a comparison;
``model_json_schema()`` is the JSON Schema of either. Scores are cosines or sums of them, rates and shares lie in
[0, 1]; "mean" is over a prompt's images, which is what a random one of them is expected to have.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Record):
    """A mean over ``prompts`` prompts with the ends of its interval; a rate of pairs counts each pair once."""

    mean: float
    low: float
    high: float
    prompts: int = Field(ge=1)


class Choices(_Record):
    """One number of the first image, of all (mean), of the picked one, and of the best possible; null if not known.

    Picked is the image with the highest score of the run's scorer. ``best`` is that by the number itself.
    ``picked_by_global_score``, of the judge and the oracle alone, is that of the image with the highest global score
    (CLIPScore).
    """

    first: Estimate
    mean: Estimate
    picked: Estimate
    best: Estimate | None
    picked_by_global_score: Estimate | None
    picked_minus_first: Estimate | None
    picked_minus_mean: Estimate | None
    picked_minus_global_score: Estimate | None


class CurvePoint(_Record):
    """The same of the image picked among the first ``images`` of each of the ``prompts`` that have so many.

    For the judge and the oracle also of the image that the global score picks among them, and of the best of them.
    """

    images: int = Field(ge=1)
    prompts: int = Field(ge=1)
    score: Estimate | None
    bound: Estimate | None
    judge: Estimate | None
    judge_by_global_score: Estimate | None
    judge_best: Estimate | None
    oracle: Estimate | None
    oracle_by_global_score: Estimate | None
    oracle_best: Estimate | None


class Counts(_Record):
    """What there is: prompts, their images, and of these the scored, those with nothing to bind, the unscored.

    ``prompts_counted`` have their first image scored and something to bind: the means of scores are over these.
    """

    prompts: int
    prompts_counted: int
    images: int
    scored: int
    nothing_to_bind: int
    unscored: int


class Group(_Record):
    """The prompts of one category, or all of a run (``category`` null); what was not measured is null."""

    category: str | None
    counts: Counts
    draws: int
    score: Choices | None
    bound: Choices | None
    probability: Choices | None
    judge: Choices | None
    oracle: Choices | None
    curve: tuple[CurvePoint, ...]


class UnscoredImage(_Record):
    """An image without a score, and why."""

    prompt_id: str
    category: str
    prompt: str
    candidate: int
    reason: str


class RunInfo(_Record):
    """Which run it is; ``unfinished`` counts prompts that do not have all their images yet and are left out.

    ``tuning``: whether the scorer was tuned for the backbone, see :class:`abe_rerank.runs.records.ModelRecord`.
    """

    folder: str
    suite: str
    created: str
    text_to_image: str | None
    scorer: str
    backbone: str
    tuning: str | None
    judge: str | None
    images_per_prompt: int
    complete: bool
    prompts: int
    unfinished: int


class SoftMeans(_Record):
    """A mean of atoms' probabilities, of the first image, of all (mean), and of the picked one."""

    first: Estimate
    mean: Estimate
    picked: Estimate


class AtomKind(_Record):
    """The mean probability of the atoms of one kind in the picked images; each atom counts once."""

    kind: Literal["object", "attribute", "count", "relation"]
    atoms: int = Field(ge=1)
    mean: Estimate


class AtomCount(_Record):
    """The prompts with so many atoms: both means of the picked image."""

    atoms: int = Field(ge=1)
    arithmetic: Estimate
    geometric: Estimate


class SoftTifa(_Record):
    """Soft-TIFA (arXiv 2512.16853): soft judgments of atoms by the judge or the scorer, joined by the arithmetic mean
    (atoms) and the geometric mean (prompts); by kind of atom, and by the number of atoms of a prompt."""

    asked_by: Literal["judge", "scorer"]
    prompts: int = Field(ge=1)
    arithmetic: SoftMeans
    geometric: SoftMeans
    kinds: tuple[AtomKind, ...]
    by_count: tuple[AtomCount, ...]


class RunSummary(_Record):
    """One run: over all prompts, by category, the first few images without a score, and what is said of single atoms,
    null where nothing gives probabilities of them."""

    run: RunInfo
    all: Group
    categories: tuple[Group, ...]
    unscored: tuple[UnscoredImage, ...]
    soft_tifa: SoftTifa | None = None


class Summary(_Record):
    """One or more runs; intervals are percentile bootstrap intervals over prompts."""

    schema_version: Literal[1] = 1
    kind: Literal["summary"] = "summary"
    level: float
    seed: int
    runs: tuple[RunSummary, ...]


class Difference(_Record):
    """Means of A and B over the ``prompts`` that both have, and B - A with its paired interval and p-value.

    The p-value is that of the sign-flip permutation test, two-sided, over ``patterns`` patterns of signs (all there are
    if ``exact``); it is not corrected for the number of categories.
    """

    prompts: int = Field(ge=1)
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    patterns: int
    exact: bool


class ComparedGroup(_Record):
    """One category, or all prompts (null); ``difference`` is null if no prompt has the number in both runs."""

    category: str | None
    matched: int
    difference: Difference | None


class PromptName(_Record):
    """One prompt."""

    prompt_id: str
    category: str
    prompt: str


class ComparedPrompt(_Record):
    """One prompt in both runs: its numbers, and the paths of the images that they are about."""

    prompt_id: str
    category: str
    prompt: str
    a: float
    b: float
    difference: float
    images_a: tuple[str | None, ...]
    images_b: tuple[str | None, ...]


class Comparison(_Record):
    """Two runs, paired by prompt (id and text).

    ``largest`` are the prompts that differ most; ``not_comparable`` are in both runs without having the number in both.
    """

    schema_version: Literal[1] = 1
    kind: Literal["comparison"] = "comparison"
    metric: str
    level: float
    seed: int
    a: RunInfo
    b: RunInfo
    all: ComparedGroup
    categories: tuple[ComparedGroup, ...]
    largest: tuple[ComparedPrompt, ...]
    not_comparable: tuple[PromptName, ...]
    only_in_a: tuple[PromptName, ...]
    only_in_b: tuple[PromptName, ...]
