"""Tables as plain text, Markdown, LaTeX and CSV, with every text escaped: categories and prompts are hostile input.

In all of them a text stays on one line, without control characters. CSV is as in RFC 4180; a text that a spreadsheet
would run as a formula (it begins with = + - @) gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from abe_rerank.files import printable
from abe_rerank.files import table as text_table

Format = Literal["table", "json", "csv", "markdown", "latex"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv", "markdown", "latex")


@dataclass(frozen=True)
class Number:
    """A number as it is shown, with the ends of its interval if it has one; a minus becomes a real one in LaTeX."""

    text: str
    interval: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.text if self.interval is None else f"{self.text} [{self.interval[0]}, {self.interval[1]}]"


Cell = str | Number


@dataclass(frozen=True)
class Block:
    """A table under a title, with notes below it."""

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    notes: Sequence[str] = field(default=())


def for_people(blocks: Sequence[Block], form: Format) -> str:
    """The blocks as "markdown" or "latex", else as plain text."""
    return {"markdown": as_markdown, "latex": as_latex}.get(form, as_text)(blocks)


def as_text(blocks: Sequence[Block]) -> str:
    """For a terminal."""
    return "\n\n".join(_text(block) for block in blocks)


def as_markdown(blocks: Sequence[Block]) -> str:
    """GitHub's Markdown: a heading, a table and a list of notes for each block."""
    return "\n\n".join(_markdown(block) for block in blocks)


def as_latex(blocks: Sequence[Block]) -> str:
    """A tabular for each block, with titles and notes as comments; needs the package booktabs."""
    return "\n\n".join(["% needs \\usepackage{booktabs}", *map(_latex, blocks)])


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str | int | float | None]]) -> str:
    """One table; numbers in full, an empty cell for None."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue().rstrip("\n")


def escape_markdown(text: str) -> str:
    """A text that Markdown shows as it is, in a table cell too."""
    escaped = "".join(_MARKDOWN.get(character, character) for character in printable(text))
    escaped = re.sub(r"^([-+=]|\d+(?=[.)]))", lambda found: _entities(found[0]), escaped.strip())  # no list, no heading
    return re.sub(r"://|www\.", lambda found: _entities(found[0]), escaped, flags=re.IGNORECASE)  # no link


def escape_latex(text: str) -> str:
    """A text that LaTeX sets as it is, at the start of a table's row too, where [ and * would belong to the \\\\."""
    return "".join(_LATEX.get(character, character) for character in printable(text)).replace("--", "-{}-")


def _text(block: Block) -> str:
    table = text_table(block.header, [[str(cell) for cell in row] for row in block.rows]) if block.header else ""
    notes = "\n".join(printable(note) for note in block.notes)
    return "\n".join(part for part in (printable(block.title), table, notes) if part)


def _markdown(block: Block) -> str:
    parts = [f"### {escape_markdown(block.title)}"]
    if block.header:
        header, *rows = [_row(row, escape_markdown, str) for row in (block.header, *block.rows)]
        rule = ["---", *["---:"] * (len(header) - 1)]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows)))
    if block.notes:
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in block.notes))
    return "\n\n".join(parts)


def _latex(block: Block) -> str:
    lines = [f"% {printable(block.title)}"]
    if block.header:
        rows = [" & ".join(_row(row, escape_latex, _latex_number)) + r" \\" for row in (block.header, *block.rows)]
        columns = "l" + "r" * (len(block.header) - 1)
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rows[0], r"\midrule", *rows[1:]]
        lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*lines, *(f"% {printable(note)}" for note in block.notes)])


def _entities(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


def _row(row: Sequence[Cell], text: Callable[[str], str], number: Callable[[Number], str]) -> list[str]:
    return [number(cell) if isinstance(cell, Number) else text(cell) for cell in row]


def _latex_number(number: Number) -> str:
    if number.interval is None:
        return f"${number.text}$"
    low, high = number.interval
    return f"${number.text}$ {{\\scriptsize $[{low}, {high}]$}}"


def _csv_cell(cell: str | int | float | None) -> str | int | float:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    text = printable(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


_MARKDOWN = {character: f"\\{character}" for character in "\\`*_[]|~$#"} | {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "@": "&#64;",
}
_LATEX = {character: f"\\{character}" for character in "{}$&#_%"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"{\char96}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}
