"""How often the parser binds as annotators did: pair F1 on gold files, and speed. ``abe-rerank benchmark parser``.

A pair counts as found if the lemma of its attribute and the lemma of its object (head noun or compound) are
exactly the gold
ones; "triangle-shaped" and "triangle" are one value. Even lines were used to develop the rules, odd lines
(counted from 1) report.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.parsing.lexicon import kind_marker, lemma
from abe_rerank.types import Spec

Split = Literal["dev", "report"]
Pair = tuple[str, str]

GOLD = {
    "attend-and-excite": "attend-and-excite/gold_pairs_templates.jsonl",
    "geneval": "geneval/gold_pairs.jsonl",
    "conceptmix": "conceptmix/gold_pairs.jsonl",
    "t2i-compbench": "t2i-compbench/gold_pairs_templates.jsonl",
}
_KINDS_ONLY = frozenset({"conceptmix"})


@dataclass(frozen=True)
class FileResult:
    """Pairs of one gold file: found in both, by the parser only, in the gold only."""

    name: str
    prompts: int
    right: int
    extra: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of the parser's pairs that are gold; 1 if it gave none."""
        found = self.right + self.extra
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        """Share of the gold pairs that were found; 1 if there are none."""
        gold = self.right + self.missed
        return self.right / gold if gold else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall over all pairs of the file."""
        total = 2 * self.right + self.extra + self.missed
        return 2 * self.right / total if total else 1.0


@dataclass(frozen=True)
class Speed:
    """Prompts a second on one core over the gold prompts, by the parser and by spaCy's blank tokenizer alone, in
    one run.
    """

    prompts: int
    parser: float
    tokenizer: float

    @property
    def ratio(self) -> float:
        """How many times slower than the tokenizer alone."""
        return self.tokenizer / self.parser


@dataclass(frozen=True)
class ParserResult:
    """F1 of every gold file on one split, and the speed."""

    split: Split
    files: tuple[FileResult, ...]
    speed: Speed


def gold_folder() -> Path:
    """``shared/data`` beside the checkout."""
    return Path(__file__).resolve().parents[3] / "shared" / "data"


def read_gold(path: Path, split: Split) -> list[tuple[str, set[Pair]]]:
    """The prompts of one split with their gold pairs as lemmas. Raises UsageError for a file that cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1 if split == "dev" else 0 :: 2]
        rows = [json.loads(line) for line in lines]
        return [(row["prompt"], {_lemmas(a, o) for a, o in row["pairs"]}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not a file of gold pairs ({error}); name the folder with the gold files") from error


def _lemmas(attribute: str, thing: str) -> Pair:
    low = attribute.lower()
    marked = kind_marker(low)
    value = marked[0] if marked else low
    return lemma(value.replace("-", " "), "ADJ"), lemma(thing.lower().replace("-", " "))


def predicted(spec: Spec, known_kinds_only: bool = False) -> set[Pair]:
    """The parser's pairs as lemmas; with ``known_kinds_only`` without attributes of kind "other"."""
    return {
        _lemmas(attribute.text, thing.text)
        for thing in spec.objects
        if not thing.negated
        for attribute in thing.attributes
        if not (known_kinds_only and attribute.kind == "other")
    }


def measure(name: str, gold: list[tuple[str, set[Pair]]]) -> FileResult:
    """Count right, extra and missed pairs; conceptmix annotates colours, shapes, textures and sizes only."""
    right = extra = missed = 0
    for prompt, pairs in gold:
        found = predicted(parse(prompt), name in _KINDS_ONLY)
        right += len(found & pairs)
        extra += len(found - pairs)
        missed += len(pairs - found)
    return FileResult(name, len(gold), right, extra, missed)


def measure_speed(prompts: list[str], repeats: int = 3) -> Speed:
    """The best of ``repeats`` passes over the prompts for the parser and for ``spacy.blank("en")``, after one
    warm-up.
    """
    import spacy

    blank = spacy.blank("en")

    def rate(work: partial[list[object]]) -> float:
        work()
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            work()
            best = min(best, time.process_time() - start)
        return len(prompts) / best

    return Speed(
        len(prompts),
        rate(partial(lambda: [parse(p) for p in prompts])),
        rate(partial(lambda: [blank.make_doc(p) for p in prompts])),
    )


def run(data_dir: Path | None = None, split: Split = "report") -> ParserResult:
    """Measure the parser on the gold files under ``data_dir`` (default: ``shared/data`` beside the checkout).

    Raises UsageError if none of the gold files is there.
    """
    folder = gold_folder() if data_dir is None else data_dir
    present = {name: folder / path for name, path in GOLD.items() if (folder / path).is_file()}
    if not present:
        raise UsageError(f"{folder}: no gold files there; name a folder with {', '.join(GOLD.values())}")
    gold = {name: read_gold(path, split) for name, path in present.items()}
    files = tuple(measure(name, rows) for name, rows in gold.items())
    return ParserResult(split, files, measure_speed([prompt for rows in gold.values() for prompt, _ in rows]))


def as_dict(result: ParserResult) -> dict[str, object]:
    """The result for JSON."""
    files = [asdict(f) | {"precision": f.precision, "recall": f.recall, "f1": f.f1} for f in result.files]
    return {"split": result.split, "files": files, "speed": asdict(result.speed) | {"ratio": result.speed.ratio}}


def format_table(result: ParserResult) -> str:
    """A plain table: a row for each gold file, then the speed."""
    lines = [
        f"{'gold file':<20}{'prompts':>8}{'right':>8}{'extra':>8}{'missed':>8}{'precision':>11}{'recall':>9}{'F1':>9}"
    ]
    lines += [
        f"{f.name:<20}{f.prompts:>8}{f.right:>8}{f.extra:>8}{f.missed:>8}{f.precision:>11.4f}{f.recall:>9.4f}{f.f1:>9.4f}"
        for f in result.files
    ]
    speed = result.speed
    lines.append(
        f"{speed.parser:.0f} prompts/s on one core over {speed.prompts} prompts; spacy.blank('en') alone "
        f"{speed.tokenizer:.0f} prompts/s ({speed.ratio:.1f} times as many)"
    )
    return "\n".join(lines)


def main(json_output: bool = False, data_dir: Path | None = None, split: Split = "report") -> str:
    """The measurement as a table or as JSON."""
    result = run(data_dir, split)
    return json.dumps(as_dict(result), indent=1) if json_output else format_table(result)
