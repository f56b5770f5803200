"""The page itself: Gradio's components for what is asked, and a stage that the scripts beside this module fill."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.integrations.app import stage
from abe_rerank.integrations.app.orders import STRATEGIES, Models, Order

if TYPE_CHECKING:
    import gradio

    from abe_rerank.integrations.app.desk import Desk

EXAMPLE = "a yellow cylinder and a red cube"
MOST = 256
"""The most images that one press of the button draws."""

RUNS = '<h2 id="abe-runs-title">Runs</h2><ul id="abe-runs" aria-labelledby="abe-runs-title"></ul>'


def head() -> str:
    """Style and scripts of the stage, for the head of the page: those of the reports, within ``.abe``, and its own."""
    reports = "abe_rerank.report"
    colours, rest = _file("templates/base.css", reports).split("* { box-sizing", maxsplit=1)
    looks = f"* {{ box-sizing{rest}{_file('templates/report.css', reports)}"
    css = f"{colours}.abe {{ {looks} }}\n{_file('app.css')}"
    script = _file("templates/heat.js", reports) + _file("templates/copy.js", reports) + _file("app.js")
    return f'<meta name="color-scheme" content="light dark"><style>{css}</style><script>{script}</script>'


def _file(name: str, package: str = "abe_rerank.integrations.app") -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def theme() -> gradio.themes.Base:
    """The colours of the reports, in fonts that every machine has."""
    import gradio

    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "sans-serif"]
    mono = ["ui-monospace", "DejaVu Sans Mono", "Menlo", "Consolas", "monospace"]
    base = gradio.themes.Base(radius_size="md", spacing_size="md", text_size="md", font=fonts, font_mono=mono)
    both = {
        "body_background_fill": "var(--page)",
        "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--soft)",
        "background_fill_primary": "var(--page)",
        "background_fill_secondary": "var(--card)",
        "block_background_fill": "transparent",
        "block_border_width": "0px",
        "block_info_text_color": "var(--soft)",
        "block_label_text_color": "var(--soft)",
        "block_title_text_color": "var(--soft)",
        "border_color_primary": "var(--line)",
        "input_background_fill": "var(--card)",
        "input_border_color": "var(--edge)",
        "input_placeholder_color": "var(--soft)",
        "button_primary_background_fill": "var(--accent)",
        "button_primary_background_fill_hover": "var(--accent)",
        "button_primary_text_color": "var(--page)",
        "button_secondary_background_fill": "var(--card)",
        "button_secondary_text_color": "var(--ink)",
        "slider_color": "var(--accent)",
        "color_accent": "var(--accent)",
        "link_text_color": "var(--accent)",
        "panel_background_fill": "transparent",
    }
    known = set(base.set.__code__.co_varnames)
    dark = {f"{name}_dark": value for name, value in both.items() if f"{name}_dark" in known}
    made: gradio.themes.Base = base.set(**both, **dark)
    return made


def page(desk: Desk) -> gradio.Blocks:
    """The page of a desk."""
    import gradio as gr

    with gr.Blocks(title="abe-rerank", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as blocks:
        with gr.Row(elem_id="abe-page-row", equal_height=False):
            with gr.Column(elem_id="abe-controls", scale=0, min_width=340):
                gr.HTML('<h1>abe-rerank</h1><p class="soft">draws what the prompt says</p>', **_bare("abe-title"))
                prompt = gr.Textbox(label="Prompt", lines=2, max_lines=6, placeholder=EXAMPLE, elem_id="abe-prompt")
                read = gr.HTML("", **_bare("abe-reading"))
                with gr.Row(elem_id="abe-ask"):
                    n = gr.Number(8, label="Pictures", precision=0, minimum=1, maximum=MOST, elem_id="abe-n")
                    seed = gr.Number(0, label="First seed", precision=0, minimum=0, elem_id="abe-seed")
                    draw = gr.Button("Draw", variant="primary", elem_id="abe-draw")
                told = gr.HTML("", **_bare("abe-told"))
                with gr.Accordion("Models and drawing", open=False, elem_id="abe-settings"):
                    settings = _settings(desk)
                dropped = gr.File(
                    label="Drop pictures in to score them",
                    file_count="multiple",
                    file_types=["image"],
                    show_label=False,
                    elem_id="abe-drop",
                )
                gr.HTML(RUNS, **_bare("abe-shelf"))
            with gr.Column(elem_id="abe-main", scale=1):
                gr.HTML(_file("stage.html"), **_bare("abe-stage"))
        prompt.input(lambda text: str(stage.reading(text)), prompt, read, trigger_mode="always_last", **_SILENT)
        asked = {"prompt": prompt, "n": n, "seed": seed, **settings}
        for event in (draw.click, prompt.submit):
            event(_drawer(desk, list(asked)), list(asked.values()), told, js=_FOLLOW, **_SILENT)
        models = [prompt, settings["backbone"], settings["scorer"], dropped]
        dropped.upload(_scorer(desk), models, [told, dropped], js=_FOLLOW, **_SILENT)
    made: gradio.Blocks = blocks
    return made


_SILENT: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
_FOLLOW = "(...given) => { window.abeFollow(); return given; }"


def _settings(desk: Desk) -> dict[str, gradio.components.Component]:
    """The fields for models and drawing, by what :func:`_order` calls them, in their order on the page."""
    import gradio as gr

    from abe_rerank import scoring

    built_in: dict[str, Any] = {"placeholder": "built-in", "max_lines": 1}
    made: dict[str, Any] = {
        "model": gr.Textbox(label="Model: a diffusers folder or hub id", elem_id="abe-model", **built_in),
        "backbone": gr.Textbox(label="Backbone: a CLIP-like folder or hub id", **built_in),
        "scorer": gr.Dropdown(scoring.names(), value=desk.models.scorer, label="Scorer"),
        "strategy": gr.Dropdown(list(STRATEGIES), label="Strategy", elem_id="abe-strategy"),
    }
    made |= _settings_of_strategies(made["strategy"])
    with gr.Row():
        made |= {"steps": _field("Steps", "abe-steps"), "guidance": _field("Guidance", "abe-guidance")}
    with gr.Row():
        made |= {"width": _field("Width", "abe-width"), "height": _field("Height", "abe-height")}
    made["negative_prompt"] = gr.Textbox(label="Negative prompt", placeholder="nothing", elem_id="abe-negative")
    with gr.Row():
        made["batch_size"] = gr.Number(
            1, label="Drawn at once", precision=0, minimum=1, min_width=80, elem_id="abe-batch"
        )
        made["scheduler"] = _field("Scheduler", "abe-scheduler")
    with gr.Row():
        made["variant"] = _field("Variant", "abe-variant", "the plain one")
        made["revision"] = _field("Revision", "abe-revision", "the main one")
    made["lora"] = _field("LoRAs: FILE[:WEIGHT], one a line", "abe-lora", "none", lines=6)
    made["call"] = _field("Further arguments of the model: NAME=VALUE, one a line", "abe-set", lines=6)
    return made


def _bare(name: str) -> dict[str, Any]:
    """The looks of HTML that is styled here."""
    return {"elem_id": name, "elem_classes": ["abe"], "apply_default_css": False, "js_on_load": None}


_STRATEGY_FIELDS: dict[str, dict[str, tuple[str, type[Any]]]] = {
    "drafts": {"draft_steps": ("Steps of a draft", int), "keep": ("Drafts to draw in full", int)},
    "search": {"share": ("Share of renewed noise", float)},
    "until-bound": {"probability": ("Until all are this likely", float), "max_seconds": ("Seconds at most", float)},
}
"""What the page asks of a strategy: what a setting is called, and what number it is."""


def _field(label: str, name: str, placeholder: str = "the model's", lines: int = 1) -> gradio.Textbox:
    """A field that may be left empty."""
    import gradio

    return gradio.Textbox(label=label, placeholder=placeholder, max_lines=lines, min_width=80, elem_id=name)


def _settings_of_strategies(strategy: gradio.Dropdown) -> dict[str, gradio.Textbox]:
    """Fields for the settings of strategies by their names; those of the chosen one are shown."""
    import gradio

    rows: list[tuple[str, gradio.Row]] = []
    found: dict[str, gradio.Textbox] = {}
    for name, asked in _STRATEGY_FIELDS.items():
        with gradio.Row(visible=False) as row:
            found |= {key: _field(label, f"abe-{name}-{key}", "its own") for key, (label, _) in asked.items()}
        rows.append((name, row))

    def show(chosen: str) -> list[object]:
        return [gradio.update(visible=name == chosen) for name, _ in rows]

    outputs = [row for _, row in rows]
    strategy.change(show, strategy, outputs, queue=False, show_progress="hidden", api_visibility="private")
    return found


def _drawer(desk: Desk, names: list[str]) -> Callable[..., str]:
    """What orders a drawing from what stands in the fields of these names; gives the line that says why it cannot."""

    def draw(*values: Any) -> str:
        try:
            desk.draw(_order(desk, dict(zip(names, values, strict=True))))
        except AbeRerankError as error:
            return str(stage.notice(str(error)))
        return ""

    return draw


def _order(desk: Desk, given: Mapping[str, Any]) -> Order:
    """What is ordered by what stands in the fields. Raises UsageError for what cannot be."""
    strategy = None if given["strategy"] == STRATEGIES[0] else given["strategy"]
    own = _STRATEGY_FIELDS.get(strategy or "", {})
    chosen: dict[str, Any] = {name: _text(given[name]) for name in ("scheduler", "variant", "revision")}
    models = _models(desk, given["model"], given["backbone"], given["scorer"])
    lora = tuple(line.strip() for line in (given["lora"] or "").splitlines() if line.strip())
    return Order(
        prompt=given["prompt"] or "",
        models=replace(models, **chosen, lora=lora),
        n=_whole("how many pictures", given["n"]),
        seed=_whole("the first seed", given["seed"]),
        batch_size=_whole("how many are drawn at once", given["batch_size"]),
        steps=_number("steps", given["steps"], int),
        guidance=_number("the guidance", given["guidance"], float),
        negative_prompt=given["negative_prompt"] or None,
        width=_number("the width", given["width"], int),
        height=_number("the height", given["height"], int),
        call=_arguments(given["call"]),
        strategy=strategy,
        strategy_settings={name: _number(label.lower(), given[name], kind) for name, (label, kind) in own.items()},
    )


def _arguments(text: str | None) -> dict[str, str]:
    """The NAME=VALUE of each line. Raises UsageError for a line that is none."""
    pairs = [line.partition("=") for line in (text or "").splitlines() if line.strip()]
    if wrong := ["".join(pair) for pair in pairs if not pair[0].strip() or not pair[1]]:
        raise UsageError(f"further arguments: {wrong[0]} is no NAME=VALUE, as in eta=0.5")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _text(text: str | None) -> str | None:
    """What is written in a field, None for nothing."""
    return (text or "").strip() or None


def _scorer(desk: Desk) -> Callable[..., tuple[str, None]]:
    def score(prompt: str, backbone: str, scorer: str, files: list[str] | None) -> tuple[str, None]:
        try:
            pictures = [(Path(file).name, Path(file)) for file in files or []]
            desk.score(prompt or "", pictures, _models(desk, None, backbone, scorer))
        except AbeRerankError as error:
            return str(stage.notice(str(error))), None
        return "", None

    return score


def _models(desk: Desk, model: str | None, backbone: str | None, scorer: str) -> Models:
    own = desk.models
    return replace(own, scorer=scorer, model=model or own.model, backbone=backbone or own.backbone)


Kind = TypeVar("Kind", int, float)


def _number(name: str, text: str | None, kind: type[Kind]) -> Kind | None:
    """What is written in a field, None for nothing. Raises UsageError for what is no number."""
    if not text or not text.strip():
        return None
    try:
        return kind(text.strip())
    except ValueError:
        raise UsageError(f"{name}: {text.strip()} is no {'whole ' if kind is int else ''}number") from None


def _whole(name: str, number: float | None) -> int:
    """Raises UsageError where there is none."""
    if number is None:
        raise UsageError(f"say {name}")
    return int(number)


def quiet() -> None:
    """Switch off what Gradio and its friends would tell their makers; before Gradio is imported."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
