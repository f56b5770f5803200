"""Prompts as people type them: the syntax of other tools, sentences about things named before, hostile text."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from test_parsing import check_spans

from abe_rerank.parsing import parse
from abe_rerank.parsing.syntax import strip, unread_syntax

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases" / "prompts.jsonl"

SYNTAX = [
    ("(green eyes:1.3), (long hair:0.9)", "green eyes, long hair"),
    ("(((blue))) vase and (yellow:0.7) cup", "blue vase, yellow cup"),
    ("((red hat:1.2), (green scarf:1.1):1.3)", "red hat, green scarf"),
    ("[purple sofa], [[white rug]]", "purple sofa, white rug"),
    ("{pink} shirt, {{black shoes}}", "pink shirt, black shoes"),
    ("a [red:blue:0.4] car", "red car, blue car"),
    ("a {red|green} apple on a [white|black] plate", "red apple, green apple, white plate, black plate"),
    ("a green frog BREAK a yellow bird", "green frog, yellow bird"),
    ("a green frog AND a yellow bird", "green frog, yellow bird"),
    ("a green frog ADDCOL a yellow bird", "green frog, yellow bird"),
    ("a red car --ar 16:9 --stylize 250 --v 5.2", "red car"),
    ("a red car --no blue wheels --seed 3", "red car"),
    ("a red car --style raw --tile", "red car"),
    ("green cone::1.5 black ball::-0.5", "green cone, black ball"),
    ("a white cat:: a black dog::2", "white cat, black dog"),
    ("a blue++ cube and a red-- ball", "blue cube, red ball"),
    ("(blue cube)++ and (red ball)1.3", "blue cube, red ball"),
    ("<lora:style_v2:0.6> a brown horse <hypernet:x:1>", "brown horse"),
    ("embedding:bad-hands a brown horse", "brown horse"),
    (r"a red fox \(animal\), (white fur:1.1)", "red fox, white fur"),
    ("a (red) cube and a (blue) cone", "red cube, blue cone"),
    ("red cube:0.5 AND blue cone:1.2", "red cube, blue cone"),
    ("a red <lora:x:1> cube", "red cube"),
    ("(red cube:1.2)(blue cone:0.8)", "red cube, blue cone"),
    ("{2$$red|blue} cube", "red cube, blue cube"),
    ("[red::0.5] cube", "red cube"),
    ("a red cube --ar=7:5 --iw .5", "red cube"),
    ("https://a.b/c.png a red cube -ar 7:5", "red cube"),
    ('("a red cube", "a blue cone").and()', "red cube, blue cone"),
    ("a (((red) cube)) and ((blue)) cone", "red cube, blue cone"),
    ("(masterpiece:1.2), a (red:1.1) (wooden:0.9) chair", "red chair, wooden chair"),
    ("a red plus++ and a blue cube", "red plus, blue cube"),
    ("\u7ea2\u8272BREAK a blue cone", "blue cone"),
    ("a blue cone BREAK\u8d64\u3044", "blue cone"),
    ("\u043a\u0443\u0431BREAK\u043a\u0443\u0431", ""),
    ("\u7ea2\u8272++ on a white table", "white table"),
]

SENTENCES = [
    ("a teapot on a table, it is green in color", "green teapot"),
    ("a fox in snow, it is orange in colour", "orange fox"),
    ("a kite over a beach. it is yellow in color", "yellow kite"),
    ("the womans coat is red in color", "red coat"),
    ("a boy with a dog. the boys hat is green", "green hat"),
    ("a childs blue bicycle", "blue bicycle"),
    ("the hat she is wearing is purple", "purple hat"),
    ("the car he drives is blue", "blue car"),
    ("the coat that she is wearing is black", "black coat"),
    ("the bag they are carrying is brown", "brown bag"),
    ("a honey-colored puppy", "honey puppy"),
    ("a rust-coloured leaf on a stone", "rust leaf"),
    ("a caramel colored horse", "caramel horse"),
    ("a dog colored blue", "blue dog"),
    ("a multi-colored scarf", "multi-colored scarf"),
    ("a light-colored table", "light-colored table"),
    ("a bakery, with the text 'fresh' in blue", "blue text"),
    ("a mug with the word 'tea' in green", "green word"),
    ("Mario, Luigi in green, Peach in pink", "green Luigi, pink Peach"),
    ("Mario in red, Luigi in green", "red Mario, green Luigi"),
    ("a king in purple, a queen in white", "purple king, white queen"),
    ("The left cup is green, the right one is white", "green cup, white cup"),
    ("the left door is red, the right one is yellow", "red door, yellow door"),
    ('a "green" bottle', "green bottle"),
    ("a 'yellow' vase and a “black” cup", "yellow vase, black cup"),
    ("a green\nbottle on a\nwooden table", "green bottle, wooden table"),
    ("the cube is red\nthe ball is blue", "red cube, blue ball"),
    ("a red cube\na blue ball", "red cube, blue ball"),
    ("a rabbit in a garden; it's white in color", "white rabbit"),
    ("the jacket the man is wearing is black", "black jacket"),
    ("the bag a woman carries is blue", "blue bag"),
    ("the cup that the robot holds is green and the robot is silver", "green cup, silver robot"),
    ("the girls shoes are pink and the boys shirt is green", "pink shoes, green shirt"),
    ("the cat is black and the dog's bowl is white", "black cat, white bowl"),
    ("the lid of the pot is red and the handle of the pan is black", "red lid, black handle"),
    ("Sonic in blue, Tails, Knuckles in red", "blue Sonic, red Knuckles"),
    ("a banner reading 'hi' on a white wall", "white wall"),
    ("a banner reading 'hi' in white", ""),
    ('a sign that says "stop" in red and a blue door', "blue door"),
    ("a green t-shirt with 'hello' written on it in blue", "green t-shirt"),
    ("a poster with the text 'magma' in red and white", "red text, white text"),
    ("a cafe, the word 'open' in pink letters", "pink letters"),
    ("a red plus", "red plus"),
    ("a boy with a green cap and a girl with a blue one", "green cap, blue cap"),
    ("the car in the yard is an old red one", "old car, red car"),
    ("a fence whose gate has been painted brown", "brown gate"),
    ("a large green plus on a small red circle", "large plus, green plus, small circle, red circle"),
    ("a yellow plus sign and a blue minus", "yellow plus sign, blue minus"),
    ("a red cube plus a blue cone", "red cube, blue cone"),
    ("a red plus green ball", "red ball, green ball"),
]

SEVERAL = [
    ("The left car is red and the right car is blue", ["red", "blue"]),
    ("the first cat is red, the second one is blue, the last one is green", ["red", "blue", "green"]),
    ("the first cup is red, the second is blue", ["red", "blue"]),
    ("The car on the left is red, the one on the right is blue", ["red", "blue"]),
    ("The car to the left of the tree is red and the car to the right of the tree is blue", ["red", "blue"]),
    ("one cat is red and another is blue", ["red", "blue"]),
    ("a boy with a red cap and a girl with a blue one", ["red", "blue"]),
    ("two flags fly over a house; the first is red, the second is blue", ["red blue"]),
    ("the upper ball is red, the lower one is blue", ["upper red", "lower blue"]),
    ("the big dog is red, the small one is blue", ["big red", "small blue"]),
    ("the dog is big. The dog on the left is red", ["big red"]),
]
"""Sentences about several things of one kind: the attributes of each, in order."""

ORDINARY = [
    ("a red cube w/ a blue sphere", "red cube, blue sphere"),
    ("a room w/o a red chair", ""),
    ("red_cube, blue_sphere", "red cube, blue sphere"),
    ("1girl, green_eyes, long_hair", "green eyes, long hair"),
    ("a t-shirt", ""),
    ("a red (cube)", "red cube"),
    ("(red|blue) cube", "red cube, blue cube"),
    ("a red cube\\, a blue cone", "red cube, blue cone"),
    ("a `red` cube and a `blue` cone", "red cube, blue cone"),
    ("(a dog)", ""),
    ("a black-and-white cat", "black-and-white cat"),
    ("a red clock at 7:5", "red clock"),
    ("C++ on a blue screen", "blue screen"),
    ("a vase (blue) and a cup (red)", "blue vase, red cup"),
    ("two- and three-storey white houses", "two- houses, three-storey houses, white houses"),
    ("a red cube - a blue ball", "red cube, blue ball"),
    ("A RED CUBE AND A BLUE BALL", "RED CUBE, BLUE BALL"),
    ("a sign that says 'red' on a blue wall", "blue wall"),
]

HOSTILE = [
    "striped\u037dBREAK a\xe9++BREAK \U00010028BREAK\ua10f",
    "\ua6acAND--left is$$BREAK's",
    "the hat she is w::2earin`g iofs purple",
    "(striped`striped<lora:x:1>.and()]e\u0301::2'7:5 the",
    "'s\x1b[31m++\ue9d2\u0130::2.and()-artwo",
    "a red \ud800 cube",
    "\udfff\ud800",
    "a red\x00cube and a blue\x1bball",
    "fire\x07 hydrant, red fire\x9b hydrant",
    "((((((((",
    ")))]]}}",
    "<lora:<lora:<lora:",
    "(red:1.2",
    "--",
    "\u2028\u2029\u200b",
    "{|||}",
    "[::]",
    "::",
]


def pairs(prompt: str) -> list[str]:
    spec = parse(prompt)
    check_spans(spec)
    assert spec.prompt == prompt
    return sorted(f"{attribute} {thing}" for attribute, thing in spec.pairs)


@pytest.mark.parametrize(("prompt", "expected"), [*SYNTAX, *SENTENCES, *ORDINARY])
def test_pairs(prompt, expected):
    assert pairs(prompt) == sorted(pair.strip() for pair in expected.split(",") if pair.strip())


@pytest.mark.parametrize(("prompt", "expected"), SEVERAL)
def test_each_of_several_things_of_a_kind_has_its_own_attributes(prompt, expected):
    things = [" ".join(a.text for a in thing.attributes) for thing in parse(prompt).objects]
    assert [thing for thing in things if thing] == expected


def test_words_glued_to_a_keyword_are_parted():
    assert [thing.text for thing in parse("a \u043a\u0443\u0431BREAK\u0448\u0430\u0440").objects] == []
    assert unread_syntax("a breakfast and BREAKAGE") == ()


@pytest.mark.parametrize("prompt", [prompt for prompt, _ in SYNTAX if "(red) cube" not in prompt])
def test_what_a_plain_pipeline_does_not_read_is_named(prompt):
    assert unread_syntax(prompt)
    assert len(strip(prompt).text) == len(prompt)


@pytest.mark.parametrize("prompt", [prompt for prompt, _ in [*SENTENCES, *ORDINARY]])
def test_ordinary_prompts_have_no_syntax(prompt):
    assert unread_syntax(prompt) == ()


def test_the_cases_that_readers_wrote():
    if not CASES.is_file():
        pytest.skip(f"the cases are not at {CASES}")
    for line in CASES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert pairs(row["prompt"]) == sorted(" ".join(pair) for pair in row["pairs"]), row["prompt"]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_hostile_text_is_read(prompt):
    pairs(prompt)
    unread_syntax(prompt)


def test_no_name_holds_a_control_character():
    names = [thing.text for thing in parse("a red garden\x07 gnome").objects]
    assert names == ["garden gnome"]


UNSEEN = ["\0", "\x07", "\x1f", "\x7f", "\x80", "\x9f", "\xad", "\u200b", "\u200d", "\u202e", "\u2066", "\ufe0f"]
UNSEEN += [
    "\ufeff",
    "\U000e0041",
    "\x1b[31m",
    "\x9b31m",
    "\x1b]0;a title\x07",
    "\x1b]8;;http://x\x1b\\",
    "\x1b(B",
    "\x1b",
]


@pytest.mark.parametrize("unseen", UNSEEN)
@pytest.mark.parametrize(
    "prompt", ["a red# fire hydrant", "a red fire# hydrant", "a #red fire hyd#rant", "a r#ed #fire hydrant"]
)
def test_what_nobody_sees_changes_nothing_that_is_read(prompt, unseen):
    typed = prompt.replace("#", unseen)
    (thing,) = parse(typed).objects
    assert (thing.text, [a.text for a in thing.attributes]) == ("fire hydrant", ["red"])
    start, end = thing.span
    assert typed[start:end].replace(unseen, "") == "fire hydrant"
    assert typed[slice(*thing.attributes[0].span)].replace(unseen, "") == "red"


@pytest.mark.parametrize("unseen", ["\0", "\u200b", "\x1b[0m"])
def test_it_parts_words_that_are_none_together(unseen):
    assert parse(f"a red{unseen}cube on a sea{unseen}shell").pairs == (("red", "cube"),)
    assert [thing.text for thing in parse(f"a red{unseen}cube on a sea{unseen}shell").objects] == ["cube", "seashell"]


@pytest.mark.parametrize(
    ("prompt", "name", "typed"),
    [
        ("a red fire (hydrant:1.2)", "fire hydrant", "fire (hydrant"),
        ("a (red fire:1.2) hydrant", "fire hydrant", "fire:1.2) hydrant"),
        ("a red fire++ hydrant", "fire hydrant", "fire++ hydrant"),
        ("a red teddy [bear]", "teddy bear", "teddy [bear"),
        ("a red fire\t hydrant", "fire hydrant", "fire\t hydrant"),
        ("a red fire\r\nhydrant", "fire hydrant", "fire\r\nhydrant"),
    ],
)
def test_names_hold_no_syntax_and_spans_are_those_of_the_text_as_typed(prompt, name, typed):
    (thing,) = parse(prompt).objects
    assert (thing.text, prompt[slice(*thing.span)]) == (name, typed)
    assert parse(prompt).pairs == (("red", name),)


def test_the_right_one_is_another_thing():
    spec = parse("The left car is red, the right one is blue")
    assert [(thing.text, [a.text for a in thing.attributes]) for thing in spec.objects] == [
        ("car", ["red"]),
        ("car", ["blue"]),
    ]


@pytest.mark.parametrize("unit", ["(red:1.2) cube ", "((", "{a|", "[a:", "<lora:", "red cube::2 ", "--no ", "a++ "])
def test_ten_thousand_words_are_read_in_time(unit):
    start = time.process_time()
    parse(unit * (30_000 // len(unit.split())))
    assert time.process_time() - start < 10
