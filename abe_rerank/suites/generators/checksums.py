"""Versions and checksums of the suites that ship with the package: ``prompts/manifest.json``.

``python -m abe_rerank.suites.generators.checksums`` writes it again, after the suites.
A suite that changes gets another version.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass

from abe_rerank.errors import UsageError
from abe_rerank.files import data_folder
from abe_rerank.suites import names, read_file

FILE = "manifest.json"


@dataclass(frozen=True)
class SuiteFile:
    """A suite's file: version, SHA-256 of its bytes, licence, number of prompts in all and by category."""

    version: str
    sha256: str
    licence: str
    prompts: int
    categories: dict[str, int]


def checksum(name: str) -> str:
    """The SHA-256 of the file of a suite as it is installed. Raises UsageError for an unknown suite."""
    if name not in names():
        raise UsageError(f"no suite called {name}; the suites are {', '.join(names())}")
    return hashlib.sha256((data_folder("prompts") / f"{name}.jsonl").read_bytes()).hexdigest()


def manifest() -> dict[str, SuiteFile]:
    """What the manifest says of each suite."""
    records = json.loads((data_folder("prompts") / FILE).read_text(encoding="utf-8"))
    return {name: SuiteFile(**record) for name, record in records.items()}


def made() -> dict[str, SuiteFile]:
    """The manifest of the files as they are."""
    from abe_rerank.suites.generators import binding_prompts, shapes_prompts

    files = {}
    for module in (binding_prompts, shapes_prompts):
        prompts = read_file(data_folder("prompts") / f"{module.NAME}.jsonl")
        categories = dict(Counter(prompt.category for prompt in prompts))
        files[module.NAME] = SuiteFile(module.VERSION, checksum(module.NAME), module.LICENCE, len(prompts), categories)
    return files


def as_text(files: dict[str, SuiteFile]) -> str:
    """The manifest as JSON."""
    return json.dumps({name: asdict(file) for name, file in files.items()}, indent=1) + "\n"


def main() -> None:
    """Write the manifest into the checkout's ``prompts`` folder."""
    (data_folder("prompts") / FILE).write_text(as_text(made()), encoding="utf-8")


if __name__ == "__main__":
    main()
