"""Where the data folders lie: beside the modules in an installed wheel, beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from abe_rerank.errors import AbeRerankError


def folder(name: Literal["prompts", "pipelines"]) -> Path:
    """The folder of the prompt suites or of the community pipelines. Raises AbeRerankError if it is not there."""
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.is_dir():
            return place
    raise AbeRerankError(f"the folder {name!r} is missing beside {package}; install the package again")
