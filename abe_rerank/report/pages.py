"""What all report pages share: the Jinja environment, and a page whose policy forbids every request to a network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from abe_rerank.report import sentences
from abe_rerank.runs.meanings import holds


def render_page(template: str, assets: Sequence[str], context: Mapping[str, object], *, linked: bool) -> str:
    """The page of ``template`` with the style sheets and scripts in ``assets`` put into it.

    ``linked``: pictures are files beside the page; else they are inside it. Nothing can be fetched from elsewhere.
    """
    script = "".join(asset(name) for name in assets if name.endswith(".js"))
    return (
        environment()
        .get_template(template)
        .render(
            css=Markup("".join(asset(name) for name in assets if name.endswith(".css"))),
            script=Markup(script),
            policy=_policy(script, linked),
            linked=linked,
            **context,
        )
    )


def asset(name: str) -> str:
    """The text of a style sheet or script."""
    return (files("abe_rerank.report") / "templates" / name).read_text(encoding="utf-8")


def fill(name: str, context: Mapping[str, object]) -> Markup:
    """The template ``name`` filled in: HTML for a part of a page, without white space around it."""
    return Markup(environment().get_template(name).render(context).strip())


def _policy(script: str, linked: bool) -> str:
    digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
    pictures = "data: 'self' file:" if linked else "data:"
    return (
        f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def environment() -> Environment:
    """Templates of this package: everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("abe_rerank.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update({name: getattr(sentences, name) for name in _WORDS}, signs=sentences.SIGNS)
    made.filters.update(_FILTERS, json=json_block)
    return made


def cosine(value: float | None) -> str:
    """A cosine with its sign, or a dash."""
    return "\u2013" if value is None else f"{value:+.3f}"


def box_style(box: tuple[float, float, float, float]) -> str:
    """A box in fractions as CSS."""
    left, top, right, bottom = (100 * edge for edge in box)
    return f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"


def count(value: float) -> str:
    """A count, or the mean of counts with one digit."""
    return f"{value:.0f}" if abs(value - round(value)) < 1e-9 else f"{value:.1f}"


def json_block(value: object) -> Markup:
    """JSON for a script element: compact, with every character escaped that could end it."""
    return htmlsafe_json_dumps(value, dumps=lambda v: json.dumps(v, ensure_ascii=False, separators=(",", ":")))


_WORDS = (
    "brief",
    "called",
    "claim",
    "competitor",
    "headline",
    "numbers",
    "relations",
    "sentence",
    "status_line",
    "why",
)
_FILTERS: dict[str, Callable[..., str]] = {
    "cosine": cosine,
    "box": box_style,
    "count": count,
    "holds": holds,
}
