"""Tables in Markdown, LaTeX and CSV: what a hostile category or prompt can do there, which is nothing."""

from __future__ import annotations

import csv
import io
import re

import pytest
from evaluation_runs import Shape, results, said_by, write_run

from abe_rerank.evaluation.summary import summarize
from abe_rerank.evaluation.summary_tables import SUMMARY_COLUMNS, show_comparison, show_summary
from abe_rerank.evaluation.tables import Block, Number, as_csv, as_latex, as_markdown, escape_latex, escape_markdown
from abe_rerank.files import printable

HOSTILE = (
    "a|b",
    "[x](javascript:alert(1)) ![y](z)",
    "<script>alert('1')</script> &amp; <b>",
    "**bold** _it_ `code` ~~s~~ $x^2$ \\ \\\\ \\| \\textbf{x}",
    "[2cm] \\\\* after a row",
    "*",
    '=HYPERLINK("http://x")',
    "+1+1",
    "-2 -- 3 --- 4",
    "@SUM(A1)",
    "100% & #1_{a}^b",
    "\\end{tabular}\\input{/etc/passwd}",
    "two\nlines\r\n\ttab",
    "\x1b[31mred\x1b[0m \u202ereversed",
    "1. a list",
    "# heading",
    "- item",
    "http://example.org www.example.org a@b.org",
    "quoted, \"twice\"; 'once'",
    "grün 緑 🟢",
    "",
)

MEANT = {
    r"\textbackslash{}": "\\",
    r"\textasciicircum{}": "^",
    r"\textasciitilde{}": "~",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"{\char34}": '"',
    r"{\char96}": "`",
    "{[}": "[",
    "{]}": "]",
    "{*}": "*",
    "-{}-": "--",
    **{f"\\{c}": c for c in "{}$&#_%"},
}


def unset(latex):
    """The text that LaTeX would set. Fails for any character with a meaning of its own that is not escaped."""
    text, rest = "", latex
    while rest:
        known = next((macro for macro in MEANT if rest.startswith(macro)), None)
        if known is None:
            assert rest[0] not in '\\{}$&#_%^~"`[]*<>|', f"{rest[0]} is not escaped in {latex!r}"
            text, rest = text + rest[0], rest[1:]
        else:
            text, rest = text + MEANT[known], rest.removeprefix(known)
    return text


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_sets_the_text_and_runs_nothing(text):
    assert unset(escape_latex(text)) == printable(text)
    latex = as_latex([Block(text, [text, "n"], [[text, Number("-1.5", ("-2", "-1"))], [text, "-"]], [text])])
    body = [line for line in latex.splitlines() if not line.startswith("%")]
    assert [line for line in body if line] == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        rf"{escape_latex(text)} & n \\",
        r"\midrule",
        rf"{escape_latex(text)} & $-1.5$ {{\scriptsize $[-2, -1]$}} \\",
        rf"{escape_latex(text)} & - \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_markdown_shows_the_text_and_nothing_else(text):
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py (of rich) is not installed")
    reader = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    page = as_markdown([Block(text, ["category", "n"], [[text, Number("1")], ["end", Number("2")]], [text, text])])
    tokens = reader.parse(page)
    kinds = [token.type for token in tokens if token.nesting == 1]
    cells = ["th_open"] * 2, ["td_open"] * 2
    row = "tr_open"
    assert kinds == [
        *("heading_open", "table_open", "thead_open", row, *cells[0], "tbody_open", row, *cells[1], row, *cells[1]),
        *("bullet_list_open", "list_item_open", "paragraph_open", "list_item_open", "paragraph_open"),
    ]
    inline = [token for token in tokens if token.type == "inline"]
    assert {child.type for token in inline for child in token.children} <= {"text", "text_special"}
    shown = ["".join(child.content for child in token.children) for token in inline]
    meant = printable(text).strip()
    assert shown == [meant, "category", "n", meant, "1", "end", "2", meant, meant]


def test_markdown_makes_no_links_where_bare_addresses_become_links():
    for text in ("http://example.org", "www.example.org", "WWW.example.org", "a@b.org"):
        assert not re.search(r"://|www\.|@", escape_markdown(text), flags=re.IGNORECASE)


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_gives_the_text_back_on_one_line_and_no_formula(text):
    page = as_csv(["category", "n"], [[text, -1.5], [text, None]])
    rows = list(csv.reader(io.StringIO(page)))
    assert page.count("\n") == 2
    assert [row[1] for row in rows] == ["n", "-1.5", ""]
    for cell in (rows[1][0], rows[2][0]):
        assert cell.removeprefix("'") == printable(text).removeprefix("'")
        assert not cell.startswith(("=", "+", "-", "@"))


@pytest.fixture
def hostile_runs(tmp_path):
    """Two runs whose categories, prompts, ids and reasons are hostile."""
    shape = Shape(prompts=2 * len(HOSTILE), n=2, unscored=0.1, categories=HOSTILE)
    runs = []
    for k in range(2):
        found = [
            result.model_copy(
                update={
                    "prompt": f"{result.prompt_id} {HOSTILE[result.index % len(HOSTILE)]}",
                    "prompt_id": f"{result.prompt_id} {HOSTILE[result.index % len(HOSTILE)]}",
                    "reason": HOSTILE[7] if result.status == "unscored" else None,
                }
            )
            for result in results(Shape(**(vars(shape) | {"seed": k})))
        ]
        runs.append(write_run(tmp_path / f"run{k}", shape, found))
    return runs


SOFT_TIFA = {"Soft-TIFA", "kind", "arithmetic mean (atoms)", "geometric mean (prompts)", "atoms", "object", "attribute"}


@pytest.mark.parametrize("form", ["table", "csv", "markdown", "latex"])
def test_summaries_and_comparisons_of_hostile_runs_print(hostile_runs, capsys, form):
    for words in (["summarize", *hostile_runs], ["compare", *hostile_runs, "--metric", "picked"]):
        code, out, err = said_by(capsys, *words, "--format", form)
        assert (code, err) == (0, "")
        assert all(character.isprintable() or character == "\n" for character in out)
        if form == "latex":
            rows = [line for line in out.splitlines() if line.endswith(r"\\")]
            assert len(rows) > len(HOSTILE)
            for row in rows:
                columns = row.removesuffix(r" \\").split(" & ")
                assert columns[0] in {"category", "N", "all prompts", *map(escape_latex, HOSTILE), "(no category)"} or (
                    columns[0].strip("$").isdigit() or columns[0] in SOFT_TIFA
                ), columns
        if form == "csv":
            rows = list(csv.DictReader(io.StringIO(out)))
            assert {row["category"].removeprefix("'") for row in rows} == set(map(printable, HOSTILE))
            assert all(None not in row and None not in row.values() for row in rows)


def test_the_csv_of_a_summary_holds_every_number_in_full(tmp_path):
    runs = [write_run(tmp_path / name, Shape(seed=k, unscored=0.1)) for k, name in enumerate("ab")]
    summary = summarize(runs)
    rows = list(csv.DictReader(io.StringIO(show_summary(summary, "csv"))))
    assert tuple(rows[0]) == SUMMARY_COLUMNS
    for run in summary.runs:
        for group in (run.all, *run.categories):
            mine = {
                (row["measure"], row["images"]): row
                for row in rows
                if (row["run"], row["category"]) == (run.run.folder, group.category or "")
            }
            assert int(mine["count.unscored", ""]["value"]) == group.counts.unscored
            for name, key in (
                ("score", "picked"),
                ("bound", "mean"),
                ("judge", "best"),
                ("oracle", "picked_minus_first"),
            ):
                estimate, row = getattr(getattr(group, name), key), mine[f"{name}.{key}", ""]
                numbers = [float(row[k]) for k in ("value", "low", "high")]
                assert numbers == [estimate.mean, estimate.low, estimate.high]
                assert int(row["prompts"]) == estimate.prompts
            assert float(mine["best_of.oracle", "2"]["value"]) == group.curve[1].oracle.mean


def test_a_table_for_people_holds_the_numbers_of_the_summary(tmp_path):
    summary = summarize([write_run(tmp_path / "run", Shape(unscored=0.2))])
    text = show_summary(summary, "table")
    everything = summary.runs[0].all
    for estimate in (everything.score.picked, everything.bound.first, everything.oracle.best):
        assert f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]" in text
    assert f"The first of {everything.counts.unscored} images without a score" in text
    assert "the file is not an image" in text


def test_comparisons_show_the_p_value_and_the_largest_differences(tmp_path):
    from abe_rerank.evaluation.comparison import compare

    runs = [write_run(tmp_path / name, Shape(seed=k, n=8)) for k, name in enumerate("ab")]
    found = compare(*runs, top=2)
    text = show_comparison(found, "table")
    d = found.all.difference
    assert f"{d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}]  {d.p_value:.4f}" in text
    assert f"Difference 2: {found.largest[1].prompt}" in text
    assert f"A: {found.largest[0].images_a[0]}" in text
    assert "A: 3 images more" in text
    assert "Difference 3" not in text
