"""Every reader, by hand, on many more inputs than the tests: prompts, pictures, run files, tables and settings.

    python tests/fuzz_readers.py [--seed N] [--prompts N] [--pictures N] [--runs N] [--files N] [--keep FOLDER]

Half of the cases begin from the corpus (``tests/data/fuzz``), half from nothing. Each must end in a result or in one
line of ours; all else is a fault, which is printed and kept in FOLDER, for the corpus. Memory and the longest case are
said in the end; the exit code is 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

CORPUS = Path(__file__).with_name("data") / "fuzz"
PIECES = (
    *("a", "the", "two", "red", "blue", "striped", "wooden", "cube", "fire", "hydrant", "left", "one", "plus", "mans"),
    *("and", "is", "it", "of", "with", "in", "not", "that", "'s", "(", ")", "[", "]", "{", "}", ":1.2", "::2", "--ar"),
    *("7:5", "<lora:x:1>", "BREAK", "AND", "++", "--", "-", "\\", "|", "__x__", "https://a.b", '"', "'", "`", "$$"),
    *("\n", "\r\n", "\t", "\0", "\x07", "\x1b[31m", "\x9b", "\x1b]0;t\x07", "\u200b", "\u202e", "\ud800", "\udcff"),
    *("\ufeff", "\xe9", "e\u0301", "\u4e2d", "\U0001f642", "\u2028", ",", ".", "-ar", "1.5", ".and()", "\u0130", ""),
)
LINES = (
    *(
        "image,prompt",
        "image;prompt;id",
        "image\tprompt",
        "Image, Prompt",
        "Category\tPrompt",
        "index,prompts",
        "a.png",
    ),
    *('a.png,"a red cube"', 'a.png,"a red', '"', ",,,", "a.png,x,,,,", "[" * 9000, '{"a":' * 9000, "9" * 4400, "[]"),
    *('{"image": "a.png", "prompt": "a red cube"}', '{"prompt": 3}', '{"prompt": "x", "tag": "color"}', "null", "NaN"),
    *(
        '{"softness": 1e999}',
        '{"key": "k"}',
        "\ufeff",
        "\0",
        "\x1b[31m",
        "n = 1",
        "[set]",
        "x = " + "[" * 9000,
        "=",
        "",
    ),
)


FORMS = ("png", "jpeg", "gif", "webp", "bmp", "tiff", "ico", "ppm", "tga", "jpeg2000", "pcx", "sgi")


class Count:
    """What came of the cases of one kind."""

    def __init__(self, kind: str, keep: Path | None) -> None:
        self.kind, self.keep = kind, keep
        self.results, self.refusals = 0, 0
        self.faults: Counter[str] = Counter()
        self.longest = 0.0

    def case(self, work: Callable[[], object], content: bytes) -> None:
        """Do one case; ``content`` is what it read."""
        from abe_rerank.errors import AbeRerankError

        begun = time.process_time()
        try:
            work()
            self.results += 1
        except AbeRerankError as error:
            said = str(error)
            self.refusals += 1
            if "\n" in said or "unexpected" in said or len(said) > 2000:
                self._fault(f"the line {said[:80]!r}", content)
        except (Exception, RecursionError) as error:
            self._fault(type(error).__name__, content)
        self.longest = max(self.longest, time.process_time() - begun)

    def _fault(self, what: str, content: bytes) -> None:
        self.faults[what] += 1
        if self.faults[what] <= 3:
            print(f"FAULT {self.kind}: {what}: {content[:300]!r}", flush=True)
            traceback.print_exc(limit=-3)
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / f"{self.kind}-{self.faults.total()}").write_bytes(content)

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {what}" for what, count in self.faults.items()) or "none"
        return (
            f"{self.kind}: {self.results} results, {self.refusals} refused in a line, faults: {faults}; "
            f"longest case {self.longest:.2f} s of processor time"
        )


def changed(content: bytes, rng: random.Random) -> bytes:
    """Bytes with a few replaced, cut off, put in, doubled, or made the largest or smallest number."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        at, way = rng.randrange(len(raw) + 1), rng.random()
        if way < 0.45 and at < len(raw):
            raw[at] = rng.randrange(256)
        elif way < 0.6:
            del raw[at:]
        elif way < 0.75:
            raw[at:at] = bytes(rng.randrange(256) for _ in range(4))
        elif way < 0.85:
            raw[at:at] = raw[: rng.randrange(len(raw) + 1)]
        else:
            raw[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
    return bytes(raw)


def some_prompt(rng: random.Random, corpus: list[str]) -> str:
    """A prompt of pieces, or one of the corpus with some put in."""
    if corpus and rng.random() < 0.5:
        words = list(rng.choice(corpus))
        for _ in range(rng.randrange(4)):
            words.insert(rng.randrange(len(words) + 1), rng.choice(PIECES))
        return "".join(words)
    pieces = (
        rng.choice(PIECES) if rng.random() < 0.9 else chr(rng.randrange(0x11000)) for _ in range(rng.randrange(30))
    )
    return rng.choice((" ", "", " ")).join(pieces)


def prompts(count: Count, cases: int, rng: random.Random) -> None:
    """Parse prompts, and check that all spans are of the text as typed."""
    from test_parsing import check_spans

    from abe_rerank.parsing import parse
    from abe_rerank.parsing.syntax import unread_syntax

    corpus = [json.loads(line) for line in (CORPUS / "prompts.jsonl").read_text().splitlines()]
    parse("a red cube")  # reads the word lists
    for k in range(cases):
        text = corpus[k] if k < len(corpus) else some_prompt(rng, corpus)

        def work(text: str = text) -> None:
            check_spans(parse(text))
            unread_syntax(text)

        count.case(work, text.encode("utf-8", "surrogatepass"))


def whole_pictures() -> list[bytes]:
    """A small picture in each format that can be written here."""
    import numpy as np
    from PIL import Image

    made = []
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (19, 17, 3), dtype=np.uint8))
    writings: list[tuple[Image.Image, str, dict[str, object]]] = [
        *((picture, form, {}) for form in FORMS),
        (Image.new("F", (9, 9), 0.5), "tiff", {}),
        (picture, "gif", {"save_all": True, "append_images": [picture, picture]}),
        (picture, "png", {"save_all": True, "append_images": [picture]}),
        (picture.convert("P"), "png", {"transparency": 3}),
    ]
    for image, form, options in writings:
        stream = io.BytesIO()
        try:
            image.save(stream, form, **options)
        except (OSError, ImportError, KeyError):
            continue  # this Pillow was built without it
        made.append(stream.getvalue())
    return made


def pictures(count: Count, cases: int, rng: random.Random) -> None:
    """Read damaged pictures."""
    from abe_rerank.images import read

    whole = [*whole_pictures(), *(path.read_bytes() for path in sorted((CORPUS / "pictures").glob("*")))]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        for _ in range(cases):
            content = changed(rng.choice(whole), rng)
            file.write_bytes(content)
            count.case(lambda: read(str(file)), content)


def run_readers(folder: Path) -> dict[Path, tuple[Callable[[Path], object], bytes]]:
    """The files of two run folders, made below a folder, each with what reads its run and what it holds."""
    from evaluation_runs import Shape, write_run
    from sample_reports import ranking_of, run_folder_of

    from abe_rerank.cli.show import account, overview
    from abe_rerank.evaluation.summary import load, summary_of
    from abe_rerank.report.run_data import data_of
    from abe_rerank.report.views import render_html
    from abe_rerank.runs.doctor import examine
    from abe_rerank.runs.generated import read_generated

    def of_one(folder: Path) -> None:
        report, images = read_generated(folder)
        render_html(report, images)
        overview(report)
        for candidate in report.candidates:
            account(report, candidate)
        examine(folder)

    def of_many(folder: Path) -> None:
        examine(folder)
        numbers = load(folder)
        summary_of(numbers)
        data_of([numbers], folder)

    one, many = folder / "one", folder / "many"
    run_folder_of(ranking_of("a red cube"), one)
    write_run(many, Shape(prompts=2, n=2, side=4))
    of = {one / "report.json": of_one, many / "run.json": of_many, many / "results.jsonl": of_many}
    return {file: (work, file.read_bytes()) for file, work in of.items()}


def runs(count: Count, cases: int, rng: random.Random) -> None:
    """Read, examine and render damaged run folders."""
    from test_corrupted_runs import corrupted

    with tempfile.TemporaryDirectory() as folder:
        readers = run_readers(Path(folder))
        for _ in range(cases):
            file = rng.choice(list(readers))
            work, whole = readers[file]
            text = whole.decode()
            lines = text.splitlines() if file.suffix == ".jsonl" else [text]
            at = rng.randrange(len(lines))
            made = (corrupted(line, rng) if k == at else line.encode() for k, line in enumerate(lines))
            content = b"\n".join(made) + b"\n"
            file.write_bytes(content)
            count.case(lambda: work(file.parent), content)  # noqa: B023 - done at once
            file.write_bytes(whole)


def file_readers() -> dict[str, Callable[[Path], object]]:
    """What reads manifests, suites, tables and the scorer's settings, by the name that such a file has."""
    from abe_rerank.cli.config_file import entries_of
    from abe_rerank.scoring.calibration import read_calibration
    from abe_rerank.scoring.terms import settings_for
    from abe_rerank.scoring.tuned import read_tuned
    from abe_rerank.suites import read_file
    from abe_rerank.suites.rows import read_manifest

    return {
        "rows.csv": read_manifest,
        "rows.jsonl": read_manifest,
        "rows.json": read_manifest,
        "suite.txt": read_file,
        "suite.tsv": read_file,
        "suite.jsonl": read_file,
        "suite.json": read_file,
        "abe.json": lambda path: settings_for(path.parent),
        "calibration.json": lambda path: read_calibration(path.parent, "k"),
        "tuned.json": lambda path: read_tuned(path.parent),
        "options.toml": entries_of,
    }


def files(count: Count, cases: int, rng: random.Random) -> None:
    """Read manifests, suites, tables and the scorer's settings."""
    readers = file_readers()
    kept = [path.read_bytes() for path in sorted((CORPUS / "files").glob("*"))]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(cases):
            name = rng.choice(list(readers))
            file = Path(folder) / name
            text = rng.choice(("\n", "", "\r\n")).join(rng.choice(LINES) for _ in range(rng.randrange(1, 6)))
            content = rng.choice(kept) if rng.random() < 0.4 else text.encode("utf-8", "surrogatepass")
            content = changed(content, rng) if rng.random() < 0.6 else content
            file.write_bytes(content)
            count.case(lambda: readers[name](file), content)  # noqa: B023 - done at once
            file.unlink()


KINDS = {"prompts": (prompts, 10_000), "pictures": (pictures, 1000), "runs": (runs, 1000), "files": (files, 2000)}


def main() -> int:
    """Run all kinds; 1 if anything was a fault."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--keep", type=Path)
    for name, (_, usual) in KINDS.items():
        asked.add_argument(f"--{name}", type=int, default=usual)
    told = asked.parse_args()
    warnings.simplefilter("ignore")
    faults = 0
    for name, (work, _) in KINDS.items():
        count, begun = Count(name, told.keep), time.monotonic()
        work(count, getattr(told, name), random.Random(told.seed))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"{count}; {time.monotonic() - begun:.0f} s, peak so far {peak} MB", flush=True)
        faults += count.faults.total()
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
