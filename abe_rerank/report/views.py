"""The run folder of one prompt, and what is made to be looked at in it: page, contact sheet, attention figures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image, ImageDraw

from abe_rerank.files import inside, words_of, write_png, write_whole
from abe_rerank.report.pages import render_page
from abe_rerank.report.pictures import (
    PAPER,
    SOFT,
    Line,
    contrast_strengths,
    data_uri,
    frames_of,
    height_of,
    pixels,
    region_strengths,
    spotlight,
    write,
)
from abe_rerank.report.sections import Page, View, sections
from abe_rerank.report.sentences import brief, called, claim, competitor, pieces, status_line
from abe_rerank.reranker import as_spec
from abe_rerank.runs.folders import new_run_folder
from abe_rerank.runs.generated import CandidateRecord, Report, RunFacts, candidate_record, report_of, write_generated
from abe_rerank.runs.meanings import VERDICTS
from abe_rerank.runs.records import PairRecord
from abe_rerank.runs.workplace import Pictures, records_of
from abe_rerank.types import Box, Candidate, Ranking, Settings, Verdict

if TYPE_CHECKING:
    from abe_rerank.evaluation.one_prompt import DrawnPrompt


@dataclass(frozen=True)
class Ranked:
    """What a contact sheet needs to know; the names are those of :class:`abe_rerank.runs.generated.Report`."""

    prompt: str
    picked: int | None
    candidates: tuple[CandidateRecord, ...]


def ranked(ranking: Ranking, name: Callable[[Candidate], str | None] = lambda candidate: candidate.source) -> Ranked:
    """The candidates of a ranking, best first; one without a seed is called by its ``name``, or else by its rank."""
    records = []
    for rank, candidate in enumerate(ranking.candidates, start=1):
        called, record = name(candidate), candidate_record(rank, candidate)
        named = {} if called is None else {"image": f"{rank:02d}_{Path(called).stem}.png"}
        records.append(record.model_copy(update=named))
    picked = 1 if records and records[0].score.value is not None else None
    return Ranked(ranking.prompt, picked, tuple(records))


def write_views(folder: Path, report: Report, images: Sequence[Image.Image], *, linked: bool = False) -> None:
    """Write ``report.html``, ``contact_sheet.png`` and ``attention/`` (of the picked image), whole or as they were.

    Raises AbeRerankError if the folder cannot be written, or a link in it leads elsewhere.
    """
    page, sheet = render_html(report, images, linked=linked), contact_sheet(report, images)
    figures = [(inside(folder, f"attention/{name}"), figure) for name, figure in _attention(report, images)]
    write_whole(folder / "report.html", page.encode())
    for path, figure in [(folder / "contact_sheet.png", sheet), *figures]:
        write_png(path, figure)


EMBEDDED = 64
"""The most images that a page holds itself; of more it names the files."""


def write_drawn(
    drawn: DrawnPrompt, facts: RunFacts, out: Path, *, linked: bool = False, warn: Callable[[str], None]
) -> Report:
    """Write the run folder ``out`` of what was drawn, whole or not at all; the hidden folder in which it was drawn is
    removed when nothing is to be drawn yet. ``warn`` is told of scores that lie too close.

    Raises UsageError and AbeRerankError as :func:`abe_rerank.runs.folders.new_run_folder` does.
    """
    from abe_rerank.scoring.stream import rounding_warning

    results = drawn.ranked
    close = rounding_warning([result.value for result in results], drawn.backbone)
    more = [] if close is None else [close]
    for line in more:
        warn(line)
    if drawn.missing:
        more.append(f"interrupted: {drawn.count} images were drawn; the same command goes on")
    candidates, files = records_of(results, drawn.folder)
    images = Pictures(files)
    settings = Settings(drawn.record.scorer, drawn.drawing, drawn.course)
    spec = as_spec(results[0].prompt)
    report = report_of(spec, settings, candidates, replace(facts, warnings=(*facts.warnings, *more)))
    with new_run_folder(out) as folder:
        write_generated(folder, report, images)
        write_views(folder, report, images, linked=linked or len(images) > EMBEDDED)
    if not drawn.missing:
        shutil.rmtree(drawn.folder, ignore_errors=True)
    return report


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


PANEL, GAP, MARGIN = 288, 16, 24
"""Width of a picture, room between pictures and around all, in pixels."""

ON_SHEET = 64
"""The most candidates that a contact sheet shows."""

_COLOURS = {"good": "#12683a", "doubt": "#7c5208", "bad": "#a81f18"}
TONES: dict[Verdict, str] = {name: _COLOURS[meaning.tone] for name, meaning in VERDICTS.items()}
ACCENT = "#1f5fbf"


def contact_sheet(report: Report | Ranked, images: Sequence[Image.Image], columns: int = 4) -> Image.Image:
    """The candidates, best first, ``columns`` to a row, each with its score and verdicts; what failed is framed.

    ``images`` are those of ``report.candidates``, in order; the best :data:`ON_SHEET` are shown.
    """
    columns = min(columns, len(images))
    width = 2 * MARGIN + columns * PANEL + (columns - 1) * GAP
    more = f" (the best {ON_SHEET} are shown)" if len(images) > ON_SHEET else ""
    title = [Line(report.prompt, 24), Line(_summary(report) + more, 16, SOFT)]
    cells = [_cell(report, report.candidates[k], images[k]) for k in range(min(len(images), ON_SHEET))]
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    top = MARGIN + height_of(title, width - 2 * MARGIN) + GAP
    sheet = Image.new("RGB", (width, top + sum(heights) + GAP * (len(rows) - 1) + MARGIN), PAPER)
    write(sheet, (MARGIN, MARGIN), title, width - 2 * MARGIN)
    for row, height in zip(rows, heights, strict=True):
        for k, cell in enumerate(row):
            sheet.paste(cell, (MARGIN + k * (PANEL + GAP), top))
        top += height + GAP
    return sheet


def attention_figure(candidate: CandidateRecord, pair: PairRecord, image: Image.Image) -> Image.Image:
    """One pair in one image: the picture, where the object was read, where the attribute beats its competitor."""
    window = pair.region.window
    panels = [
        (image, called(candidate), None),
        (spotlight(image, region_strengths(pair), window), f"where the {pair.object} was read", pair.region.box),
    ]
    contrast = contrast_strengths(pair)
    if contrast is not None:
        title = f"where {pair.attribute} fits better than {competitor(pair)}"
        panels.append((spotlight(image, contrast, window), title, pair.region.box))
    width = 2 * MARGIN + len(panels) * PANEL + (len(panels) - 1) * GAP
    caption = [Line(f"{pair.verdict}: {claim(pair)}", 18, TONES[pair.verdict])]
    titles = [[Line(title, 15, SOFT)] for _, title, _ in panels]
    room = max(height_of(title, PANEL) for title in titles) + 4
    pictures = [_picture(picture, [box] if box else []) for picture, _, box in panels]
    head = MARGIN + height_of(caption, width - 2 * MARGIN) + GAP // 2
    figure = Image.new("RGB", (width, head + room + pictures[0].height + MARGIN), PAPER)
    write(figure, (MARGIN, MARGIN), caption, width - 2 * MARGIN)
    for k, (lines, picture) in enumerate(zip(titles, pictures, strict=True)):
        left = MARGIN + k * (PANEL + GAP)
        write(figure, (left, head), lines, PANEL)
        figure.paste(picture, (left, head + room))
    return figure


def _summary(report: Report | Ranked) -> str:
    if report.picked is None:
        return "no image could be scored"
    picked = report.candidates[report.picked - 1]
    return f"picked {called(picked)} of {len(report.candidates)}: {status_line(picked.score)}"


def _cell(report: Report | Ranked, candidate: CandidateRecord, image: Image.Image) -> Image.Image:
    """One candidate with its caption under it; the picked one has a frame."""
    score = candidate.score
    value = "not scored" if score.value is None else f"{score.value:+.3f}"
    picked = candidate.rank == report.picked
    head = f"{candidate.rank}. {called(candidate)} · {value}{' · picked' if picked else ''}"
    lines = [Line(head, 16, ACCENT if picked else "#1b1c1f")]
    lines += [Line(f"{pair.verdict}: {brief(pair)}", 14, TONES[pair.verdict]) for pair in score.pairs]
    lines += [] if score.pairs else [Line(status_line(score), 14, SOFT)]
    picture = _picture(image, [frame.box for frame in frames_of(score.pairs, failed_only=True)])
    if picked:
        ImageDraw.Draw(picture).rectangle((0, 0, PANEL - 1, picture.height - 1), outline=ACCENT, width=5)
    cell = Image.new("RGB", (PANEL, picture.height + 6 + height_of(lines, PANEL)), PAPER)
    cell.paste(picture, (0, 0))
    write(cell, (0, picture.height + 6), lines, PANEL)
    return cell


def _picture(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The image at the width of a panel, with white frames on black."""
    height = max(1, round(PANEL * image.height / image.width))
    picture = image.convert("RGB").resize((PANEL, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        left, top, right, bottom = pixels(box, picture.size)
        right, bottom = max(right - 1, left), max(bottom - 1, top)
        for colour, inset in (("#10131a", 0), ("#ffffff", 2)):
            if right - left > 2 * inset and bottom - top > 2 * inset:
                draw.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=colour, width=2)
    return picture
