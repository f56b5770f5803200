"""``report.html``: one self-contained page, made from a report and its images alone (no model)."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL.Image import Image

from abe_rerank.report.pictures import data_uri, heatmap
from abe_rerank.report.schema import CandidateRecord, Report
from abe_rerank.report.words import SIGNS, pieces, sentence, status_line


def render_html(report: Report, images: Sequence[Image]) -> str:
    """The page; ``images`` are those of ``report.candidates``, in order. Raises ValueError if they do not match."""
    if len(images) != len(report.candidates):
        raise ValueError(f"{len(report.candidates)} candidates, but {len(images)} images")
    page = _environment().get_template("report.html.jinja")
    return page.render(
        report=report,
        pieces=pieces(report.prompt, report.parse),
        stages=[_stage(candidate, image) for candidate, image in zip(report.candidates, images, strict=True)],
        overlays=max((len(candidate.score.pairs) for candidate in report.candidates), default=0),
        widest=max((abs(p.margin) for c in report.candidates for p in c.score.pairs), default=0.0) or 1.0,
    )


def _stage(candidate: CandidateRecord, image: Image) -> dict[str, object]:
    """A candidate with the pictures that its figure shows."""
    return {
        "candidate": candidate,
        "image": data_uri(image),
        "ratio": f"{image.width} / {image.height}",
        "heat": [data_uri(heatmap(pair.region.weights)) for pair in candidate.score.pairs],
        "windows": [_box_style(pair.region.window) for pair in candidate.score.pairs],
        "boxes": [_box_style(pair.region.box) for pair in candidate.score.pairs],
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("abe_rerank.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(sentence=sentence, status_line=status_line, signs=SIGNS)
    environment.filters["cosine"] = lambda value: "-" if value is None else f"{value:+.3f}"
    return environment


def _box_style(box: tuple[float, float, float, float]) -> str:
    left, top, right, bottom = (100 * edge for edge in box)
    return f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"
