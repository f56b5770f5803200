"""Options that several commands share, each declared once; help texts in groups; command lines written out."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from abe_rerank import scoring
from abe_rerank.cli import completing
from abe_rerank.errors import UsageError
from abe_rerank.recipes import MOST_AT_ONCE

MOST_PROCESSES, MOST_ROWS, MOST_SCENES, MOST_MINUTES = 1024, 1_000_000, 100_000, 100_000
"""The most processes, rows of a table at once, scenes of a task and minutes of a search: what is above them would never
end, or take the machine down."""

DRAW, MODELS, SCORE, OUTPUT = "What to draw", "Which models", "How to score", "Where results go"
"""The groups of options in a help text."""

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What the image should show.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", autocompletion=completing.runs)]

Count = Annotated[int, typer.Option("--n", "-n", "--count", help="How many images to draw.", rich_help_panel=DRAW)]
Seed = Annotated[int, typer.Option(help="Seed of image 0; image k has seed + k.", rich_help_panel=DRAW)]
Steps = Annotated[
    int | None, typer.Option(help="Denoising steps.", show_default="the model's own", rich_help_panel=DRAW)
]
Guidance = Annotated[
    float | None, typer.Option(help="Guidance scale.", show_default="the model's own", rich_help_panel=DRAW)
]
BatchSize = Annotated[
    str,
    typer.Option(
        metavar="N",
        help="How many images to draw at once; auto takes up to 8, by their size and the device.",
        rich_help_panel=DRAW,
    ),
]
NegativePrompt = Annotated[
    str | None,
    typer.Option(help="What the image should not show.", show_default="the model's own", rich_help_panel=DRAW),
]
Width = Annotated[
    int | None, typer.Option(help="Width in pixels.", show_default="the model's own", rich_help_panel=DRAW)
]
Height = Annotated[
    int | None, typer.Option(help="Height in pixels.", show_default="the model's own", rich_help_panel=DRAW)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another argument of the model's pipeline, as its __call__ names it; may be given several times.",
        show_default="the model's own",
        rich_help_panel=DRAW,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        help="Text-to-image model: a diffusers folder, a hub id, or a single safetensors file.",
        show_default="the built-in one",
        rich_help_panel=MODELS,
    ),
]
ModelConfig = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Where --model is a single file: a diffusers folder or hub id of such a model, for its configs.",
        show_default="what the file looks like",
        rich_help_panel=MODELS,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Class of diffusers that takes the steps (EulerDiscreteScheduler); a wrong name lists those that fit.",
        show_default="the model's own",
        rich_help_panel=MODELS,
    ),
]
Lora = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:WEIGHT]",
        help="A LoRA for the text-to-image model (safetensors); may be given several times.",
        show_default="none",
        rich_help_panel=MODELS,
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(
        help="Weight files of the text-to-image model: fp16, ...",
        show_default="the plain ones, or the only ones",
        rich_help_panel=MODELS,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(
        help="Branch, tag or commit of --model on the hub.", show_default="the main branch", rich_help_panel=MODELS
    ),
]
BackboneName = Annotated[
    str | None,
    typer.Option(
        help="CLIP-like model that scores: a transformers folder or hub id.",
        show_default="the built-in one",
        rich_help_panel=MODELS,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where the models run: cpu, cuda, cuda:1, ...",
        show_default="the GPU if there is one",
        rich_help_panel=MODELS,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Number type of the models: float32, float16 or bfloat16.",
        show_default="float16 on a GPU, else float32",
        rich_help_panel=MODELS,
    ),
]

AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Read weights from pickle files too; only for models whose maker you trust.",
        rich_help_panel=MODELS,
    ),
]

Scorer = Annotated[
    str,
    typer.Option(help=f"{scoring.choices()}.", autocompletion=completing.scorers, rich_help_panel=SCORE),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        help="Size at which the backbone sees images: 144, or 96x144 (height x width).",
        show_default="the backbone's own",
        rich_help_panel=SCORE,
    ),
]

Assets = Annotated[
    bool,
    typer.Option(
        "--assets", help="Link images from report.html instead of embedding them in it.", rich_help_panel=OUTPUT
    ),
]
Offload = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="Let the networks that draw wait on the CPU: none, model (each as a whole), sequential (layer by layer).",
        rich_help_panel=MODELS,
    ),
]
Slice = Annotated[
    list[str] | None,
    typer.Option(
        "--slice",
        metavar="WHAT",
        help="Take less at a time: vae (a picture), tiles (of a picture), attention; may be given several times.",
        show_default="none",
        rich_help_panel=MODELS,
    ),
]
ScoreOn = Annotated[
    str | None,
    typer.Option(
        help="Another device for the model that scores, as cpu where the GPU is full.",
        show_default="that of --device",
        rich_help_panel=MODELS,
    ),
]
Processes = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_PROCESSES,
        help="How many processes share the run, each on a GPU of its own, or on the CPU.",
        rich_help_panel=MODELS,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
Format = Annotated[
    str | None,
    typer.Option("--format", help="table, json, csv, markdown or latex.", show_default="table", rich_help_panel=OUTPUT),
]


def finite(value: float | None) -> float | None:
    """The value of an option. Raises UsageError for NaN, which no range leaves out."""
    if value is not None and math.isnan(value):
        raise UsageError("nan is no number that an option takes; give an ordinary one, such as 0.5")
    return value


def read_batch_size(text: str) -> int | Literal["auto"]:
    """A number, or "auto". Raises UsageError for another word, and a number above MOST_AT_ONCE."""
    try:
        size: int | Literal["auto"] = "auto" if text == "auto" else int(text)
    except ValueError:
        size = MOST_AT_ONCE + 1
    if size != "auto" and size > MOST_AT_ONCE:
        raise UsageError(f"--batch-size {text[:40]}: give a number from 1 to {MOST_AT_ONCE}, or auto")
    return size


def read_settings(texts: Iterable[str] | None) -> dict[str, str]:
    """Each NAME=VALUE of ``--set``; the last one of a name counts. Raises UsageError for one without a name."""
    pairs = [text.partition("=") for text in texts or ()]
    if wrong := ["".join(pair) for pair in pairs if not pair[0].strip() or not pair[1]]:
        raise UsageError(f"--set {wrong[0]}: give NAME=VALUE, as in --set eta=0.5")
    return {name.strip(): value for name, _, value in pairs}


class GroupedCommand(TyperCommand):
    """A command whose help shows its options in their groups, in plain text: importing rich for it costs 0.4 s."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments first, then each group in the order in which its first option is declared."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                groups.setdefault(_group_of(parameter), []).append(record)
        for title in sorted(groups, key=lambda title: (title != _ARGUMENTS, title == _OTHERS)):
            with formatter.section(title):
                formatter.write_dl(groups[title])


_ARGUMENTS, _OTHERS = "Arguments", "Options"


def _group_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _ARGUMENTS
    return getattr(parameter, "rich_help_panel", None) or _OTHERS


Part = str | tuple[str, object]
"""An argument, or an option with its value; an option whose value is None is left out."""


def command_line(command: str, parts: Iterable[Part], *, joined: bool = True) -> str:
    """``abe-rerank COMMAND ...`` quoted for a shell, such that every value is read again as it is.

    Options are written ``--name=value``, or as two words if not ``joined`` and the value does not begin with a dash;
    a flag is ``--name`` or ``--no-name``. Arguments keep their place, except those that begin with a dash: they come
    last, after ``--``.
    """
    words, dashed = ["abe-rerank", command], list[str]()
    for part in parts:
        if isinstance(part, tuple):
            words += _option(*part, joined=joined)
        elif part.startswith("-"):
            dashed.append(part)
        else:
            words.append(part)
    return shlex.join([*words, "--", *dashed] if dashed else words)


def _option(name: str, value: object, joined: bool) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [name if value else f"--no-{name.removeprefix('--')}"]
    text = str(value)
    return [f"{name}={text}"] if joined or text.startswith("-") else [name, text]
