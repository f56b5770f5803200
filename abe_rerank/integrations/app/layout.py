"""The page itself: Gradio's components for what is asked, and a stage that the scripts beside this module fill."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.integrations.app import stage
from abe_rerank.integrations.app.orders import Models, Order

if TYPE_CHECKING:
    import gradio

    from abe_rerank.integrations.app.desk import Desk

EXAMPLE = "a yellow cylinder and a red cube"
MOST = 256
"""The most images that one press of the button draws."""

STAGE = """
<section class="bar" aria-label="the run that is shown">
  <p id="abe-status" role="status"></p>
  <span class="buttons">
    <button type="button" id="abe-stop" hidden>Stop</button>
    <button type="button" id="abe-go-on" hidden>Go on</button>
    <button type="button" id="abe-more" hidden>4 more</button>
    <a id="abe-page" hidden target="_blank">Report</a>
    <button type="button" id="abe-now" hidden></button>
  </span>
  <progress id="abe-progress" max="1" value="0" aria-label="how much is there" hidden></progress>
</section>
<p class="alarm" id="abe-error" role="alert" hidden></p>
<div id="abe-run"></div>
<section id="abe-commands" hidden aria-label="the same on the command line">
  <h2>The same on the command line</h2>
  <div class="command"><code id="abe-command" tabindex="0"></code><button type="button" data-copy="abe-command">copy</button></div>
  <div class="command"><code id="abe-show" tabindex="0"></code><button type="button" data-copy="abe-show">copy</button></div>
</section>
"""

RUNS = '<h2 id="abe-runs-title">Runs</h2><ul id="abe-runs" aria-labelledby="abe-runs-title"></ul>'


def head() -> str:
    """Style and scripts of the stage, for the head of the page: those of the reports, within ``.abe``, and its own."""
    own, reports = files("abe_rerank.integrations.app"), files("abe_rerank.report") / "templates"
    colours, rest = (reports / "base.css").read_text(encoding="utf-8").split("* { box-sizing", maxsplit=1)
    looks = f"* {{ box-sizing{rest}{(reports / 'report.css').read_text(encoding='utf-8')}"
    css = f"{colours}.abe {{ {looks} }}\n{(own / 'app.css').read_text(encoding='utf-8')}"
    scripts = [reports / "heat.js", reports / "copy.js", own / "app.js"]
    script = "".join(path.read_text(encoding="utf-8") for path in scripts)
    return f'<meta name="color-scheme" content="light dark"><style>{css}</style><script>{script}</script>'


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
    return base.set(**both, **dark)


def page(desk: Desk) -> gradio.Blocks:
    """The page of a desk."""
    import gradio as gr

    from abe_rerank import scoring

    with gr.Blocks(title="abe-rerank", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as blocks:
        with gr.Row(elem_id="abe-page-row", equal_height=False):
            with gr.Column(elem_id="abe-controls", scale=0, min_width=340):
                gr.HTML('<h1>abe-rerank</h1><p class="soft">draws what the prompt says</p>', **_bare("abe-title"))
                prompt = gr.Textbox(
                    label="Prompt", lines=2, max_lines=6, placeholder=EXAMPLE, elem_id="abe-prompt", autofocus=True
                )
                read = gr.HTML("", **_bare("abe-reading"))
                with gr.Row(elem_id="abe-ask"):
                    n = gr.Number(8, label="Pictures", precision=0, minimum=1, maximum=MOST, elem_id="abe-n")
                    seed = gr.Number(0, label="First seed", precision=0, minimum=0, elem_id="abe-seed")
                    draw = gr.Button("Draw", variant="primary", elem_id="abe-draw")
                told = gr.HTML("", **_bare("abe-told"))
                with gr.Accordion("Models and drawing", open=False, elem_id="abe-settings"):
                    model = gr.Textbox(label="Model", placeholder="built-in", info="a diffusers folder or hub id")
                    backbone = gr.Textbox(label="Backbone", placeholder="built-in", info="a CLIP-like folder or hub id")
                    scorer = gr.Dropdown(scoring.names(), value=desk.models.scorer, label="Scorer")
                    with gr.Row():
                        steps = gr.Number(None, label="Steps", precision=0, minimum=1, elem_id="abe-steps")
                        guidance = gr.Number(None, label="Guidance", elem_id="abe-guidance")
                    with gr.Row():
                        width = gr.Number(None, label="Width", precision=0, minimum=8)
                        height = gr.Number(None, label="Height", precision=0, minimum=8)
                    negative = gr.Textbox(label="Negative prompt", placeholder="nothing")
                    gr.HTML('<p class="soft">What is left empty is the model’s own.</p>', **_bare("abe-empty"))
                dropped = gr.File(
                    label="Drop pictures in to score them",
                    file_count="multiple",
                    file_types=["image"],
                    height=110,
                    elem_id="abe-drop",
                )
                gr.HTML(RUNS, **_bare("abe-shelf"))
            with gr.Column(elem_id="abe-main", scale=1):
                gr.HTML(STAGE, **_bare("abe-stage"))
        silent: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        prompt.input(lambda text: str(stage.reading(text)), prompt, read, trigger_mode="always_last", **silent)
        asked = [prompt, n, seed, model, backbone, scorer, steps, guidance, width, height, negative]
        follow = "(...given) => { window.abeFollow(); return given; }"
        for event in (draw.click, prompt.submit):
            event(_drawer(desk), asked, told, js=follow, **silent)
        models = [prompt, backbone, scorer, dropped]
        dropped.upload(_scorer(desk), models, [told, dropped], js=follow, **silent)
    return blocks


def _bare(name: str) -> dict[str, Any]:
    """The looks of HTML that is styled here."""
    return {"elem_id": name, "elem_classes": ["abe"], "apply_default_css": False, "js_on_load": None}


def _drawer(desk: Desk) -> Callable[..., str]:
    def draw(*given: Any) -> str:
        prompt, n, seed, model, backbone, scorer, steps, guidance, width, height, negative = given
        try:
            order = Order(
                prompt=prompt or "",
                models=_models(desk, model, backbone, scorer),
                n=_whole("how many pictures", n),
                seed=_whole("the first seed", seed),
                steps=None if steps is None else int(steps),
                guidance=guidance,
                negative_prompt=negative or None,
                width=None if width is None else int(width),
                height=None if height is None else int(height),
            )
            desk.draw(order)
        except AbeRerankError as error:
            return str(stage.notice(str(error)))
        return ""

    return draw


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
    from dataclasses import replace

    named = {"model": model or desk.models.model, "backbone": backbone or desk.models.backbone}
    return replace(desk.models, scorer=scorer, **named)


def _whole(name: str, number: float | None) -> int:
    """Raises UsageError where there is none."""
    if number is None:
        raise UsageError(f"say {name}")
    return int(number)


@cache
def quiet() -> None:
    """Switch off what Gradio and its friends would tell their makers; before Gradio is imported."""
    import os

    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
