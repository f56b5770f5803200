"""Writes ``prompts/binding.jsonl``, where the parser differs from it, and the manifest of all suites."""

from __future__ import annotations

from abe_rerank.files import data_folder
from abe_rerank.suites import as_line
from abe_rerank.suites.generators.binding_prompts import NAME, suite
from abe_rerank.suites.generators.checksums import main as write_manifest
from abe_rerank.suites.generators.differences import FILE, as_text, differences


def main() -> None:
    """Write the suite, the parser's differences and the manifest into the checkout's ``prompts`` folder."""
    prompts = suite()
    text = "".join(as_line(prompt) + "\n" for prompt in prompts)
    (data_folder("prompts") / f"{NAME}.jsonl").write_text(text, encoding="utf-8")
    (data_folder("prompts") / FILE).write_text(as_text(differences(prompts)), encoding="utf-8")
    write_manifest()


if __name__ == "__main__":
    main()
