"""The models that ship with the package: ordinary folders of transformers and diffusers, trained by our own scripts.

Each holds a model card (README.md) with its data, steps, measured quality and limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from abe_rerank.errors import AbeRerankError, UsageError

Name = Literal["clip", "text-to-image", "oracle"]


def path(name: Name) -> Path:
    """The folder of a built-in model. Raises UsageError for another name, AbeRerankError if the folder is not there."""
    if name not in get_args(Name):
        raise UsageError(f"there is no built-in model {name!r}; there are {', '.join(get_args(Name))}")
    folder = Path(__file__).parent / name
    if not folder.is_dir():
        raise AbeRerankError(f"the built-in model {name!r} is missing at {folder}; install the package again")
    return folder
