"""Writes ``prompts/binding.jsonl``, where the parser differs from it, and the manifest of all suites."""

from __future__ import annotations

from abe_rerank.resources import folder
from abe_rerank.suites import as_line
from abe_rerank.suites.binding import NAME, suite
from abe_rerank.suites.differences import FILE, as_text, differences
from abe_rerank.suites.manifest import main as write_manifest


def main() -> None:
    """Write the suite, the parser's differences and the manifest into the checkout's ``prompts`` folder."""
    prompts = suite()
    text = "".join(as_line(prompt) + "\n" for prompt in prompts)
    (folder("prompts") / f"{NAME}.jsonl").write_text(text, encoding="utf-8")
    (folder("prompts") / FILE).write_text(as_text(differences(prompts)), encoding="utf-8")
    write_manifest()


if __name__ == "__main__":
    main()
