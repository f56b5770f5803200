"""Prompts, and the formats of the files that hold them: one module of this package for each format.

A file's format is told by its content and not by its name. A new format is a new module that calls :func:`register`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from abe_rerank.errors import UsageError
from abe_rerank.types import PartKind

Pairs = tuple[tuple[str, str], ...]
AskedQuestion = tuple[PartKind, str, str]


@dataclass(frozen=True)
class SuitePrompt:
    """One prompt; ``pairs`` is None where nobody has said which are expected. ``questions`` are those that a judge is
    to ask, each (kind of atom, question, expected answer), and ``atom_count`` is how many atoms the suite counts; None
    where the suite says neither."""

    id: str
    prompt: str
    pairs: Pairs | None = None
    category: str = ""
    source: str = ""
    licence: str = ""
    questions: tuple[AskedQuestion, ...] | None = None
    atom_count: int | None = None


@dataclass(frozen=True)
class PromptFormat:
    """How a kind of file is told from others and read; texts come without a byte order mark.

    ``fits(text, name)`` says whether a file's text is of this format. Formats are asked in the order of ``generality``:
    0 for the format of one benchmark, more for one that takes whatever looks like it. ``read(text, name)`` gives the
    prompts; it raises UsageError, naming file and line, for what cannot be read.
    """

    title: str
    fits: Callable[[str, str], bool]
    read: Callable[[str, str], Iterable[SuitePrompt]]
    generality: int = 0


_registered: list[PromptFormat] = []


def register(form: PromptFormat) -> None:
    """Offer a format to every command that reads prompts."""
    _registered.append(form)


def formats() -> tuple[PromptFormat, ...]:
    """All formats in the order in which a file is tried; equally general ones as they were registered."""
    _import_all()
    return tuple(sorted(_registered, key=lambda form: form.generality))


@cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def titles() -> str:
    """The formats as a help text names them."""
    return ", ".join(form.title for form in (LINES, *reversed(formats())))


def read_text(text: str, name: str) -> list[SuitePrompt]:
    """The prompts in a file's text. Raises UsageError, naming the line, for what cannot be read."""
    form = next((form for form in formats() if form.fits(text, name)), LINES)
    if form is LINES and text.strip() and name.lower().endswith(_NO_LINES):
        raise UsageError(
            f"{name}: its first line is neither a JSON object nor the header of a table with a column prompt; a file "
            "of one prompt a line ends in .txt"
        )
    return [_encodable(prompt, name) for prompt in form.read(text, name)]


def _line_prompts(text: str, _: str) -> Iterable[SuitePrompt]:
    lines = enumerate(text.split("\n"), start=1)
    return (SuitePrompt(str(number), line.strip()) for number, line in lines if line.strip())


_NO_LINES = (".json", ".jsonl", ".csv", ".tsv")
"""How files end that nobody means as one prompt a line, which everything is."""

LINES = PromptFormat("one prompt a line", lambda text, name: True, _line_prompts)
"""As in T2I-CompBench: what a file of no other format is taken for."""


def first_line(text: str) -> str:
    """The first line that is not empty; "" if there is none."""
    return next((line for line in text.splitlines() if line.strip()), "")


def _encodable(prompt: SuitePrompt, name: str) -> SuitePrompt:
    """The prompt itself. Raises UsageError for half a character ("\\ud800"), which no file can hold."""
    try:
        "".join((prompt.id, prompt.prompt, prompt.category, prompt.source, prompt.licence)).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name}: the prompt {prompt.id!a} holds half a character (a lone surrogate)") from None
    return prompt
