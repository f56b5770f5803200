"""What values show of themselves in a notebook, and the example notebook, run."""

from __future__ import annotations

import base64
import io
import pickle
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_reports import EVIL, ranking_of

from abe_rerank import parse
from abe_rerank.report.notebook import MOST
from abe_rerank.runs.meanings import VERDICTS
from abe_rerank.types import Candidate, Ranking, Score, Settings, Spec

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "choose_pictures.ipynb"
ALLOWED = {"div", "style", "p", "span", "sup", "small", "figure", "img", "figcaption", "br"}
ALLOWED |= {"table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"}


class Read(HTMLParser):
    """The tags, the sources of pictures and the text, as a browser has them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.sources, self.text, self.inside = [], [], [], []
        self.prompt = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        known = dict(attributes)
        assert not [name for name in known if name.startswith("on")]
        if tag == "img":
            self.sources.append(known["src"])
            assert known["alt"]
        elif tag != "br":
            self.inside.append((tag, known.get("class", "")))

    def handle_endtag(self, tag):
        assert self.inside.pop()[0] == tag

    def handle_data(self, data):
        if self.inside[-1][0] == "style":
            return
        self.text.append(data)
        if ("p", "read") in self.inside and self.inside[-1][0] != "sup":
            self.prompt.append(data)


def read(value) -> Read:
    found = Read(value._repr_html_())
    assert found.inside == []
    assert set(found.tags) <= ALLOWED
    return found


def noise(count, side):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (side, side * 2, 3), dtype=np.uint8)) for _ in range(count)]


def plain_ranking(images):
    scored = [Score(1.0 - k / 100, "scored", "clip 1", 0.2) for k in range(len(images))]
    candidates = [Candidate(image, scored[k], seed=k) for k, image in enumerate(images)]
    return Ranking("a red cube", parse("a red cube"), tuple(candidates), Settings("clip 1"))


def test_a_ranking_shows_its_prompt_pictures_and_verdicts():
    shown = read(ranking_of("a red cube", (0.5, 0.2, None)))
    text = " ".join(" ".join(shown.text).split())
    assert "".join(shown.prompt).strip() == "a red cube"
    assert len(shown.sources) == 3
    found = ("1. seed 0", "+0.500", "2. seed 1", "+0.200", "3. seed 2", "not scored", "bound", "red is on the cube")
    for wanted in found:
        assert wanted in text
    for source in shown.sources:
        with Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/jpeg;base64,")))) as image:
            assert image.size == (12, 8)


@pytest.mark.parametrize(("count", "side"), [(1, 1024), (MOST, 512), (MOST + 5, 300)])
def test_a_saved_ranking_is_small_whatever_its_pictures(count, side):
    """Noise is what JPEG holds worst."""
    ranking = plain_ranking(noise(count, side))
    assert len(ranking._repr_html_()) < 100_000
    shown = read(ranking)
    assert len(shown.sources) == min(count, MOST)
    assert (f"and {count - MOST} more" in " ".join(shown.text)) == (count > MOST)


def test_a_score_shows_each_pair_and_why_there_is_none():
    for candidate in ranking_of("a red cube", (0.5, 0.4, 0.3, 0.2)).candidates:
        text = " ".join(read(candidate.score).text)
        assert VERDICTS[candidate.score.pairs[0].verdict].sign in text
        assert "red cube" in text
    reason = "<b>painted</b> over"
    assert f"not scored: {reason}" in "".join(read(Score(None, "unscored", "abe 1", reason=reason)).text)


def test_a_spec_shows_what_is_read_and_what_is_not():
    shown = read(parse("two red cubes without a blue star, oil painting"))
    text = " ".join(" ".join(shown.text).split())
    assert "".join(shown.prompt).strip() == "two red cubes without a blue star, oil painting"
    assert "no star" in text
    assert "not bound" in text
    assert "Nothing to bind" in "".join(read(Spec("a moon")).text)


@pytest.mark.parametrize("value", [ranking_of(EVIL), ranking_of(EVIL).spec, ranking_of(EVIL).candidates[0].score])
def test_what_is_in_a_prompt_is_text(value):
    shown = read(value)
    assert not any("javascript" in source or not source.startswith("data:image/jpeg") for source in shown.sources)
    assert "http" not in value._repr_html_()


def test_a_ranking_of_nothing_shows_its_prompt():
    assert "".join(read(Ranking("a red cube", parse("a red cube"), (), Settings("x"))).prompt).strip() == "a red cube"


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""

    def luminance(colour):
        digits = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_it_can_be_read_in_light_and_dark():
    html = parse("a red cube")._repr_html_()
    themes = [dict(re.findall(r"--(\w+): (#\w+)", rule)) for rule in re.findall(r"\{[^{}]*--card: #[^{}]*\}", html)]
    assert len(themes) == 4
    assert themes[0] == themes[2] != themes[1] == themes[3]
    for theme in themes:
        for name in ("ink", "soft", "good", "bad", "doubt"):
            assert contrast(theme[name], theme["card"]) >= 4.5
        assert contrast(theme["ink"], theme["mark"]) >= 4.5


def test_nothing_is_imported_before_something_is_shown():
    code = (
        "import sys, abe_rerank; from abe_rerank.types import Ranking, Score, Spec\n"
        "print(sorted({'jinja2', 'numpy', 'PIL', 'pydantic', 'torch'} & set(sys.modules)))\n"
        "print(all(hasattr(kind, '_repr_html_') for kind in (Ranking, Score, Spec)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True"]


def test_values_stay_values():
    spec = parse("a red cube")
    assert pickle.loads(pickle.dumps(spec)) == spec == parse("a red cube")


def test_the_example_notebook_holds_no_output():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra: test)")
    notebook = nbformat.read(EXAMPLE, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.slow
def test_the_example_notebook_runs_and_stays_small(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra: test)")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra: test)")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra: test)")
    notebook = nbformat.read(EXAMPLE, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert sum("abe-rerank" in html for html in shown) >= 4
    said = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert [line.split(":")[0] for line in said.splitlines()][:4] == [f"seed {k}" for k in range(4)]
    nbformat.write(notebook, tmp_path / "run.ipynb")
    assert (tmp_path / "run.ipynb").stat().st_size < 300_000
