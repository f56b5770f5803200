"""What is made from the run of one prompt to be looked at: its page, its contact sheet, its attention figures."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from PIL import Image

from abe_rerank.files import inside, words_of, write_png, write_whole
from abe_rerank.report import sentences
from abe_rerank.report.pictures import data_uri
from abe_rerank.report.sections import Page, View, sections
from abe_rerank.report.sentences import pieces
from abe_rerank.report.sheets import attention_figure, contact_sheet
from abe_rerank.runs.generated import Report


def write_views(folder: Path, report: Report, images: Sequence[Image.Image], *, linked: bool = False) -> None:
    """Write ``report.html``, ``contact_sheet.png`` and ``attention/`` (of the picked image), whole or as they were.

    Raises AbeRerankError if the folder cannot be written, or a link in it leads elsewhere.
    """
    figures = [(inside(folder, f"attention/{name}"), figure) for name, figure in _attention(report, images)]
    write_whole(folder / "report.html", render_html(report, images, linked=linked).encode())
    write_png(folder / "contact_sheet.png", contact_sheet(report, images))
    for path, figure in figures:
        write_png(path, figure)


def _attention(report: Report, images: Sequence[Image.Image]) -> list[tuple[str, Image.Image]]:
    """(file name, figure) for each pair of the picked image."""
    if report.picked is None:
        return []
    candidate, image = report.candidates[report.picked - 1], images[report.picked - 1]
    return [
        (f"{k:02d}-{words_of(f'{pair.attribute} {pair.object}')}.png", attention_figure(candidate, pair, image))
        for k, pair in enumerate(candidate.score.pairs, start=1)
    ]


ASSETS = ("base.css", "report.css", "heat.js", "copy.js", "report.js")


def render_html(report: Report, images: Sequence[Image.Image], *, linked: bool = False) -> str:
    """The page; ``images`` are those of ``report.candidates``, in order. Raises ValueError if they do not match.

    With ``linked`` the page names the image files of the run folder in place of holding the images.
    """
    if not report.candidates or len(images) != len(report.candidates):
        raise ValueError(f"{len(report.candidates)} candidates, but {len(images)} images")
    views = tuple(
        View(candidate, quote(candidate.image) if linked else data_uri(image), report.prompt)
        for candidate, image in zip(report.candidates, images, strict=True)
    )
    page = Page(report, views, linked)
    context = {
        "report": report,
        "pieces": pieces(report.prompt, report.parse),
        "words": {overlay.span: overlay.number for overlay in page.shown.overlays},
        "sections": sections(page),
    }
    return render_page("report.html.jinja", ASSETS, context, linked=linked)


def render_page(name: str, assets: Sequence[str], context: Mapping[str, object], *, linked: bool) -> str:
    """The page of the template ``name`` with the style sheets and scripts in ``assets`` put into it.

    ``linked``: pictures are files beside the page; else they are inside it. Nothing can be fetched from elsewhere.
    """
    text = {asset: (files("abe_rerank.report") / "templates" / asset).read_text(encoding="utf-8") for asset in assets}
    script = "".join(text[asset] for asset in assets if asset.endswith(".js"))
    return (
        environment()
        .get_template(name)
        .render(
            css=Markup("".join(text[asset] for asset in assets if asset.endswith(".css"))),
            script=Markup(script),
            policy=_policy(script, linked),
            linked=linked,
            **context,
        )
    )


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


_WORDS = ("brief", "claim", "competitor", "headline", "numbers", "sentence", "status_line", "why")
_FILTERS: dict[str, Callable[..., str]] = {
    "cosine": cosine,
    "box": box_style,
    "count": count,
}
