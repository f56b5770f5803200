"""The binding suite: file and generator agree, English and pairs hold together, the parser's differences are listed."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from abe_rerank import UsageError
from abe_rerank.benchmarks.checkout.parser_agreement import gold_folder
from abe_rerank.files import data_folder
from abe_rerank.suites import SuitePrompt, as_line, load_prompts, names
from abe_rerank.suites.generators.binding_prompts import suite
from abe_rerank.suites.generators.binding_prompts.categories import templates
from abe_rerank.suites.generators.binding_prompts.lot import Lot
from abe_rerank.suites.generators.binding_prompts.noun_phrases import finished, indefinite, mark, predicate
from abe_rerank.suites.generators.binding_prompts.vocabulary import sections_of, stages, things
from abe_rerank.suites.generators.checksums import as_text as manifest_text
from abe_rerank.suites.generators.checksums import checksum, made, manifest
from abe_rerank.suites.generators.differences import FILE as DIFFERENCES
from abe_rerank.suites.generators.differences import agreement, as_text, differences

LEAST = {"colour": 300, "shape": 300, "texture": 300, "material": 300, "relations": 300, "mixed": 300, "swapped": 300}
LEAST |= {"size": 100, "pattern": 100, "count": 100, "long": 100, "language": 100}


@pytest.fixture(scope="module")
def prompts():
    return load_prompts("binding")


def words_of(prompt):
    return " ".join(re.findall(r"[\w-]+", prompt.lower()))


def test_the_file_is_what_the_generator_makes(prompts):
    fresh = suite()
    assert (data_folder("prompts") / "binding.jsonl").read_text(encoding="utf-8") == "".join(
        as_line(p) + "\n" for p in fresh
    )
    assert prompts == fresh


def test_every_category_is_large_enough_and_loads_by_its_name(prompts):
    counts = Counter(p.category for p in prompts)
    assert set(counts) == set(LEAST)
    assert all(counts[name] >= least for name, least in LEAST.items())
    assert len(load_prompts("binding:swapped")) == counts["swapped"]
    assert all(p.licence == "Apache-2.0" and re.search(r"binding \d+\.\d+, seed \d+$", p.source) for p in prompts)


def test_no_prompt_and_no_id_is_there_twice_in_all_suites():
    everything = [p for name in names() for p in load_prompts(name)]
    assert len({words_of(p.prompt) for p in everything}) == len({p.id for p in everything}) == len(everything)


def test_the_pairs_stand_in_their_prompt_and_only_language_has_prompts_without(prompts):
    for prompt in prompts:
        assert all(attribute in prompt.prompt and thing in prompt.prompt for attribute, thing in prompt.pairs), prompt
        assert prompt.pairs or prompt.category == "language"
        number = 1 if prompt.category in ("language", "relations", "mixed", "count") else 2
        assert len(prompt.pairs) >= number or prompt.category == "language", prompt
    assert sum(not p.pairs for p in prompts) > 0


def test_twins_differ_by_their_two_attributes_alone():
    twins = load_prompts("binding:swapped")
    for a, b in zip(twins[::2], twins[1::2], strict=True):
        assert (a.id[:-1], a.id[-1], b.id[-1]) == (b.id[:-1], "a", "b")
        before, after = ({(attribute.lower(), thing) for attribute, thing in p.pairs} for p in (a, b))
        (first, one), (second, two) = before - after
        assert after - before == {(second, one), (first, two)}
        spelled = [re.sub(r"\ban\b", "a", words_of(p.prompt)) for p in (a, b)]
        assert Counter(spelled[0].split()) == Counter(spelled[1].split())
        assert spelled[0] != spelled[1]


def test_the_english_has_no_slips_that_a_rule_can_find(prompts):
    for text in (p.prompt for p in prompts):
        assert not re.search(r"\ba (?=[aeio]|u[^nsk]|L-)|\ban (?=[^aeiouLl])|  | [,.]|\b(\w+) \1\b|[<>{}|]", text), text
        sentence = text.endswith(".")
        assert text[0].isupper() == sentence or text.startswith(("Mr", "L-")), text
        assert not (sentence and re.search(r"\. [a-z]", text)), text


def test_the_prompts_that_the_parser_reads_otherwise_are_listed_and_few():
    everything = [p for name in names() for p in load_prompts(name)]
    found = differences(everything)
    assert (data_folder("prompts") / DIFFERENCES).read_text(encoding="utf-8") == as_text(found)
    assert len(found) < 0.03 * len(everything)
    listed = json.loads(as_text(found))
    assert all(difference["missed"] or difference["extra"] for difference in listed)


def test_agreement_counts_prompts_and_pairs_of_each_category():
    right = SuitePrompt("1", "a red cup and a blue jug", (("red", "cup"), ("blue", "jug")), category="x")
    wrong = SuitePrompt("2", "a green cup", (("green", "cup"), ("green", "jug")), category="x")
    assert agreement([right, wrong]) == {"x": (2, 1, 4, 3)}


def test_long_prompts_are_longer_than_what_clip_reads():
    for prompt in load_prompts("binding:long"):  # a word or a sign is at least one token, start and end are two more
        assert len(re.findall(r"\w+|[^\w\s]", prompt.prompt)) + 2 > 77, prompt.prompt


def test_long_prompts_are_longer_than_77_tokens_of_clip():
    place = gold_folder() / "clip-tokenizer"
    if not place.is_dir():
        pytest.skip(f"{place} is not there")
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(place)
    lengths = [len(tokenizer(p.prompt).input_ids) for p in load_prompts("binding:long")]
    assert min(lengths) > 77


def test_the_manifest_has_the_versions_and_checksums_of_the_suites_and_nothing_else_is_a_suite():
    assert names() == tuple(sorted(manifest())) == ("binding", "shapes")
    assert (data_folder("prompts") / "manifest.json").read_text(encoding="utf-8") == manifest_text(made())
    assert all(file.sha256 == checksum(name) and file.version for name, file in manifest().items())
    assert f"binding {manifest()['binding'].version}," in load_prompts("binding")[0].source
    with pytest.raises(UsageError, match="no suite called parser_differences"):
        checksum("parser_differences")


def test_every_thing_is_used_and_every_name_is_a_thing():
    named = {thing.name for stage in stages().values() for thing in stage.things}  # an unknown name fails here
    for file in ("people.txt", "relations.txt", "counts.txt", "long.txt"):
        for line in templates(file):
            slots = re.findall(r"[@^+*#~]\w?\{([^{}]*)\}", line)
            named |= {name for slot in slots for name in slot.split("/")}
    assert named == set(things())


def test_every_construction_of_the_language_file_is_in_the_suite():
    lines = [line for section in sections_of("language.txt").values() for line in section]
    said = " / ".join(p.prompt.lower() for p in load_prompts("binding:language"))
    for line in lines:
        plain = re.sub(r"<([^|<>]+)\|[^<>]+>", r"\1", re.sub(r"\{[^{}]*\}", "_", line)).lower()
        plain = re.escape(plain).replace(r"\ ", " ").replace("_", "[^/]+").replace("a [", "an? [")
        assert re.search(plain, said), line


@pytest.mark.parametrize(
    ("marked", "prompt", "pairs"),
    [
        ("a <orange|mug> mug", "an orange mug", (("orange", "mug"),)),
        ("there is a <heart|box>-shaped box.", "There is a heart-shaped box.", (("heart", "box"),)),
        ("<red|boots> boots lie here.", "Red boots lie here.", (("Red", "boots"),)),
        ("an <L-shaped|sofa> sofa and an hexagon", "an L-shaped sofa and a hexagon", (("L-shaped", "sofa"),)),
        ("both are <red|cup|jug>.", "Both are red.", (("red", "cup"), ("red", "jug"))),
    ],
)
def test_marked_text_becomes_prompt_and_pairs(marked, prompt, pairs):
    assert finished(marked) == (prompt, pairs)


def test_attributes_stand_in_the_order_of_english():
    values = (("material", "wooden"), ("colour", "red"), ("size", "small"))
    assert indefinite(values, things()["stool"]) == "a <small|stool> <red|stool> <wooden|stool> stool"
    assert indefinite((("colour", "red"),), things()["boots"]) == "<red|boots> boots"
    assert predicate((("material", "wooden"),), "stool") == "<wood|stool>"
    assert predicate((("pattern", "tartan"),), "scarf") is None
    assert mark("egg-shaped", "chair") == "<egg-shaped|chair>"


def test_draws_are_equal_for_equal_seeds_and_spread_over_what_was_said_less():
    assert [Lot("a").number(1, 6) for _ in range(3)] == [Lot("a").number(1, 6) for _ in range(3)]
    assert sorted(Lot("b").shuffled("abcd")) == list("abcd")
    lot = Lot("c")
    counts = Counter()
    for _ in range(300):
        value = lot.rare("xyz")
        lot.note([value])
        counts[value] += 1
    assert max(counts.values()) - min(counts.values()) <= 5
