"""What ``abe-rerank tune`` found for a backbone, in the user's data folder: settings, probabilities, and their error.

One folder for each set of weights and input size, with the files that a backbone may bring itself (``abe.json``,
``calibration.json``) and ``tuned.json``, which says when it was made and on what. Nothing is ever written into the
model's own folder or a hub's cache; a folder that brings its own ``abe.json`` wins.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abe_rerank.backbones import Backbone
from abe_rerank.backbones.devices import size_words
from abe_rerank.backbones.loading import BUILTIN
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.files import checked, read_json, write_whole
from abe_rerank.scoring.calibration import FILE as CALIBRATION_FILE
from abe_rerank.scoring.calibration import GENERAL_ERROR, Calibration, calibrations, read_calibration
from abe_rerank.scoring.second_look import LOOK
from abe_rerank.scoring.terms import SETTINGS_FILE, AbeSettings

if TYPE_CHECKING:
    from abe_rerank.scoring.registry import Scorer

TUNED_FILE = "tuned.json"
_PARTS = (SETTINGS_FILE, CALIBRATION_FILE, TUNED_FILE)


@dataclass(frozen=True)
class Tuned:
    """When, by what version and on what a backbone was tuned, by the hash of its ``weights`` and input ``size``.

    ``error`` is the expected calibration error on scenes held back, ``advice`` says whether the scorer is worth it.
    """

    created: str
    version: str
    weights: str
    size: str
    fitted_on: str
    error: float
    advice: str


def kept_in(backbone: Backbone) -> Path:
    """The folder in the user's data folder for this backbone's weights and input size, and for how pictures are looked
    at by now; it need not exist."""
    from platformdirs import user_data_path

    name = f"{backbone.weights_hash}{size_words(backbone.image_size)} {LOOK}".replace(" ", "-")
    return user_data_path("abe-rerank", appauthor=False) / "tuned" / name


def read_tuned(folder: Path) -> Tuned | None:
    """What ``tuned.json`` in a folder says, None if there is none. Raises AbeRerankError if it is not one of ours."""
    path = folder / TUNED_FILE
    if not path.exists():
        return None
    try:
        return checked(Tuned, read_json(path))
    except (OSError, ValueError) as error:
        raise AbeRerankError(
            f"{path} is not what abe-rerank tune writes ({error}); remove it and tune again"
        ) from error


def write_tuned(folder: Path, tuned: Tuned) -> None:
    """The last of a folder's files: without it the others count for nothing. Raises AbeRerankError if it cannot."""
    write_whole(folder / TUNED_FILE, (json.dumps(asdict(tuned), indent=1) + "\n").encode())


def home_of(backbone: Backbone) -> Path | None:
    """Where the settings for a backbone are: its own folder if they are there, else where they are kept, else None."""
    if backbone.folder is not None and (backbone.folder / SETTINGS_FILE).exists():
        return backbone.folder
    kept = kept_in(backbone)
    return kept if (kept / TUNED_FILE).exists() else None


def calibration_of(backbone: Backbone, key: str) -> Calibration | None:
    """The calibration for exactly these weights and settings, beside the backbone or kept; None if there is none."""
    for folder in (backbone.folder, kept_in(backbone)):
        found = None if folder is None else read_calibration(folder, key)
        if found is not None:
            return found
    return None


def tuning_line(backbone: Backbone) -> str | None:
    """Whether the scorer abe was tuned for a backbone, when and with what error, or how to; None for the built-in."""
    if backbone.folder == BUILTIN:
        return None
    home = home_of(backbone)
    if home is None:
        return (
            "the scorer abe was not tuned for this backbone, and its probabilities are general ones (calibration error "
            f"up to {GENERAL_ERROR:.2f} on others): abe-rerank tune --backbone {backbone.name}"
        )
    if home == backbone.folder:
        return f"the backbone brings its own settings of the scorer abe ({SETTINGS_FILE} in its folder)"
    tuned = read_tuned(home)
    assert tuned is not None
    return (
        f"the scorer abe was tuned for this backbone on {tuned.created[:10]}, "
        f"calibration error {tuned.error:.3f}; {tuned.advice}"
    )


def tuning_of(scorer: Scorer) -> str | None:
    """:func:`tuning_line` of a scorer's backbone where the scorer abe reads it, alone or in an ensemble, else None."""
    members = getattr(scorer, "members", (scorer,))
    reads = any(member.name.rpartition(":")[2] == "abe" for member in members)  # "relations:abe" reads as "abe"
    return tuning_line(scorer.backbone) if reads else None


def export(backbone: Backbone, file: Path) -> None:
    """Write what is kept for a backbone into one file. Raises UsageError if nothing is kept."""
    folder = kept_in(backbone)
    if read_tuned(folder) is None:
        raise UsageError(f"nothing is kept for {backbone.name}: run abe-rerank tune --backbone {backbone.name} first")
    try:
        parts = {name: read_json(folder / name) for name in _PARTS}
    except (OSError, ValueError) as error:
        raise AbeRerankError(f"{folder} is damaged ({error}); run abe-rerank tune again") from error
    write_whole(file, (json.dumps(parts, indent=1) + "\n").encode())


def take_over(backbone: Backbone, file: Path) -> Tuned:
    """Keep what :func:`export` wrote, perhaps on another machine. Raises UsageError unless it is for these weights."""
    try:
        parts = read_json(file)
        if not isinstance(parts, dict) or set(parts) != set(_PARTS):
            raise ValueError(f"an object with {', '.join(_PARTS)} is expected")
        tuned = checked(Tuned, parts[TUNED_FILE])
        checked(AbeSettings, parts[SETTINGS_FILE])
        fitted = calibrations(parts[CALIBRATION_FILE])
        texts = {name: (json.dumps(parts[name], indent=1) + "\n").encode() for name in _PARTS}
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is not what abe-rerank tune --export writes ({error})") from error
    here = (backbone.weights_hash, size_words(backbone.image_size).strip())
    if (tuned.weights, tuned.size) != here:
        raise UsageError(
            f"{file} was made for other weights or another input size "
            f"({' '.join((tuned.weights, tuned.size)).strip()}) than {backbone.name} has ({' '.join(here).strip()})"
        )
    if not any(one.key.endswith(LOOK) for one in fitted):
        raise UsageError(f"{file} was made by another version, which looked at pictures otherwise: run abe-rerank tune")
    for name, text in texts.items():
        write_whole(kept_in(backbone) / name, text)
    return tuned
