"""Every reader, by hand, on inputs that atheris makes: it changes those that reached new lines of this package.

    pip install atheris && python tests/fuzz_guided.py CORPUS -max_total_time=480 -timeout=20 -rss_limit_mb=3000

What stands behind the folder are libFuzzer's own options. The first byte of an input says which reader takes the rest;
CORPUS is begun from ``tests/data/fuzz`` if it is not there. The run ends at the first input whose end is neither a
result nor one line of ours, with its traceback, and keeps that input as ``crash-*``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["abe_rerank"]):
    from fuzz_readers import CORPUS, file_readers, run_readers, whole_pictures

    from abe_rerank.errors import AbeRerankError
    from abe_rerank.images import read
    from abe_rerank.parsing import parse
    from abe_rerank.parsing.syntax import unread_syntax

from test_parsing import check_spans


def prompt_reader(content: bytes) -> None:
    """Parse a prompt, half characters too, and check that all spans are of the text as typed."""
    text = content.decode("utf-8", "surrogateescape")
    check_spans(parse(text))
    unread_syntax(text)


def readers(folder: Path) -> list[tuple[str, Callable[[bytes], object], list[bytes]]]:
    """(name, reader of bytes, inputs to begin with) of every kind; files are written below a folder."""

    def of_file(name: str, work: Callable[[Path], object]) -> Callable[[bytes], object]:
        def reading(content: bytes) -> object:
            (folder / name).write_bytes(content)
            return work(folder / name)

        return reading

    kept = [path.read_bytes() for path in sorted((CORPUS / "files").glob("*"))]
    lines = (CORPUS / "prompts.jsonl").read_text().splitlines()
    prompts = [json.loads(line).encode("utf-8", "surrogatepass") for line in lines]
    found = [("prompt", prompt_reader, prompts)]
    found += [(name, of_file(name, work), kept) for name, work in file_readers().items()]
    found += [("picture", of_file("picture.png", lambda path: read(str(path))), whole_pictures())]
    for path, (work, whole) in run_readers(folder).items():
        found.append(
            (path.name, of_file(str(path.relative_to(folder)), lambda path, work=work: work(path.parent)), [whole])
        )
    return found


def main() -> None:
    """Fuzz until the time is over, or a fault is found."""
    warnings.simplefilter("ignore")
    corpus = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        with atheris.instrument_imports(include=["abe_rerank"]):  # what readers import as they are used, too
            kinds = readers(Path(folder))
            for _, reading, begun in kinds:
                for content in begun:
                    with suppress(AbeRerankError):
                        reading(content)
        if not corpus.is_dir():
            corpus.mkdir(parents=True)
            for kind, (name, _, begun) in enumerate(kinds):
                for k, content in enumerate(begun):
                    (corpus / f"{name}-{k}").write_bytes(bytes([kind]) + content)

        def one(content: bytes) -> None:
            if not content:
                return
            name, reading, _ = kinds[content[0] % len(kinds)]
            try:
                reading(content[1:])
            except AbeRerankError as error:
                said = str(error)
                if "\n" in said or "unexpected" in said or len(said) > 2000:
                    raise RuntimeError(f"{name}: the line {said[:200]!r}") from error

        atheris.Setup(sys.argv, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
