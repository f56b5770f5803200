"""``abe-rerank parse``: what the parser finds in a prompt, with its spans underlined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abe_rerank.cli.options import AsJson, Prompt
from abe_rerank.cli.terminal import say, say_json
from abe_rerank.files import printable

if TYPE_CHECKING:
    from abe_rerank.types import ObjectPhrase, Spec


def parse(prompt: Prompt, as_json: AsJson = False) -> None:
    """Show the objects, attributes, counts and relations that are read in PROMPT."""
    from abe_rerank.reranker import as_spec

    spec = as_spec(prompt)
    if as_json:
        from abe_rerank.runs.records import ParseRecord

        say_json(ParseRecord.of(spec).model_dump_json(indent=1))
    else:
        say(describe(spec))


def describe(spec: Spec) -> str:
    """The prompt with objects (=) and attributes (-) underlined, then what was bound and what was ignored."""
    lines = [printable(spec.prompt), _underline(spec), ""]
    lines += [_object_line(thing) for thing in spec.objects] or ["no objects found"]
    lines += [
        f"relation: {spec.objects[r.subject].text} {r.text} {spec.objects[r.object].text}" for r in spec.relations
    ]
    if spec.ignored:
        lines.append("ignored: " + ", ".join(f"{word.text} ({word.reason})" for word in spec.ignored))
    if spec.nothing_to_bind:
        lines.append("binding: nothing to bind")
    return "\n".join([*lines[:3], *(printable(line) for line in lines[3:])])


def _underline(spec: Spec) -> str:
    marks = [" "] * len(spec.prompt)
    for thing in spec.objects:
        spans = [(thing.span, "="), *((attribute.span, "-") for attribute in thing.attributes)]
        for (start, end), mark in spans:
            marks[start:end] = mark * (end - start)
    return "".join(marks).rstrip()


def _object_line(thing: ObjectPhrase) -> str:
    attributes = ", ".join(f"{attribute.text} ({attribute.kind})" for attribute in thing.attributes) or "no attributes"
    count = "" if thing.count is None else f"{thing.count.value} x "
    return f"{'no ' if thing.negated else ''}{count}{thing.text}: {attributes}"
