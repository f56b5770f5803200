"""The Spec from a spaCy model's dependency parse, on documents with heads, labels and tags written by hand."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Doc
from test_parsing import check_spans

from abe_rerank.parsing.spacy_model import spec_of_doc

# word/pos/dep/head (index of the head word)
PARSES = [
    (
        "a/DET/det/2 red/ADJ/amod/2 cube/NOUN/ROOT/2 and/CCONJ/cc/2 a/DET/det/6 blue/ADJ/amod/6 ball/NOUN/conj/2",
        "red cube, blue ball",
    ),
    (
        "a/DET/det/4 red/ADJ/amod/4 and/CCONJ/cc/1 blue/ADJ/conj/1 ball/NOUN/ROOT/4",
        "red ball, blue ball",
    ),
    (
        "the/DET/det/1 cube/NOUN/nsubj/2 is/AUX/ROOT/2 red/ADJ/acomp/2 and/CCONJ/cc/3 shiny/ADJ/conj/3",
        "red cube, shiny cube",
    ),
    (
        "the/DET/det/1 cube/NOUN/nsubj/2 is/AUX/ROOT/2 not/PART/neg/2 red/ADJ/acomp/2",
        "",
    ),
    (
        "a/DET/det/1 car/NOUN/ROOT/1 painted/VERB/acl/1 red/ADJ/oprd/2",
        "red car",
    ),
    (
        "a/DET/det/1 man/NOUN/ROOT/1 with/ADP/prep/1 green/ADJ/amod/4 hair/NOUN/pobj/2",
        "green hair",
    ),
    (
        "a/DET/det/1 table/NOUN/ROOT/1 made/VERB/acl/1 of/ADP/prep/2 wood/NOUN/pobj/3",
        "wood table",
    ),
    (
        "a/DET/det/1 cow/NOUN/ROOT/1 with/ADP/prep/1 a/DET/det/5 metallic/ADJ/amod/5 texture/NOUN/pobj/2",
        "metallic cow",
    ),
    (
        "a/DET/det/3 white/ADJ/amod/3 teddy/NOUN/compound/3 bear/NOUN/ROOT/3",
        "white teddy bear",
    ),
    (
        "a/DET/det/2 light/ADJ/amod/2 blue/ADJ/amod/3 vase/NOUN/ROOT/3",
        "light blue vase",
    ),
]


def document(text: str) -> Doc:
    rows = [part.rsplit("/", 3) for part in text.split()]
    words, tags, labels, heads = zip(*rows, strict=True)
    return Doc(
        spacy.blank("en").vocab, words=list(words), pos=list(tags), deps=list(labels), heads=[int(h) for h in heads]
    )


@pytest.mark.parametrize(("text", "expected"), PARSES)
def test_pairs_of_a_dependency_parse(text, expected):
    spec = spec_of_doc(document(text))
    wanted = sorted(pair.strip() for pair in expected.split(",") if pair.strip())
    assert sorted(f"{attribute} {thing}" for attribute, thing in spec.pairs) == wanted
    check_spans(spec)


def test_counts_relations_and_negation():
    spec = spec_of_doc(
        document(
            "two/NUM/nummod/1 cubes/NOUN/ROOT/1 behind/ADP/prep/1 a/DET/det/4 ball/NOUN/pobj/2 "
            "without/ADP/prep/4 stripes/NOUN/pobj/5"
        )
    )
    assert spec.counts == ((2, "cubes"),)
    assert [thing.negated for thing in spec.objects] == [False, False, True]
    relation = spec.relations[0]
    assert (spec.objects[relation.subject].text, relation.text, spec.objects[relation.object].text) == (
        "cubes",
        "behind",
        "ball",
    )
