"""T2I-CompBench: images called by their prompts, [samples/]<prompt>_<number>.png."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from abe_rerank.evaluation.layouts import FoundImage, ImageLayout, KnownPrompts, image_files, register
from abe_rerank.suites import SuitePrompt
from abe_rerank.text import readable


def _read(source: Path, known: KnownPrompts) -> Iterator[FoundImage]:
    """A name that is a prompt of the suite as a whole is not cut at its last "_"."""
    for file in image_files(source / "samples" if (source / "samples").is_dir() else source):
        whole = readable(file.stem)
        cut = re.fullmatch(r"(.+)_(\d{1,9})", whole, flags=re.DOTALL)
        names = [cut[1], whole] if cut else [whole]
        place, prompt = known.said(*names) or (0, names[0])
        yield FoundImage(file, SuitePrompt("", prompt), int(cut[2]) if cut and place == 0 else 0)


register(ImageLayout("a folder in T2I-CompBench's layout", Path.is_dir, _read, generality=9))
