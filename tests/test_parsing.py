"""What the parser finds in hand-written English, against pairs written down by hand."""

from __future__ import annotations

import unicodedata

import pytest

from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.types import Spec

# prompt, "attribute object, attribute object": an object is its head or compound, an attribute may have several words
PAIRS = [
    ("a cube that is red and a ball that is blue", "red cube, blue ball"),
    ("the cube is red, and the sphere is green", "red cube, green sphere"),
    ("The dog on the sofa is brown.", "brown dog"),
    ("The dog and the cat are black.", "black dog, black cat"),
    ("a car painted red next to a house painted a pale yellow", "red car, pale yellow house"),
    ("a man with green hair and blue eyes wearing a red jacket", "green hair, blue eyes, red jacket"),
    ("a chair made of dark wood and metal", "dark chair, wood chair, metal chair"),
    ("a statue carved from white marble", "white statue, marble statue"),
    ("squares of purple and circles of orange", "purple squares, orange circles"),
    ("a woman's red dress", "red dress"),
    ("two cubes, one red and one blue", "red cubes, blue cubes"),
    ("There are two balls. One is red and the other is blue.", "red balls, blue balls"),
    ("a red, a blue and a green ball", "red ball, blue ball, green ball"),
    ("three small green and two large yellow spheres", "small spheres, green spheres, large spheres, yellow spheres"),
    ("a wood and metal chair", "wood chair, metal chair"),
    ("a black and white photo of a cat", ""),
    ("a black and white cat", "black cat, white cat"),
    ("a cat with no tail and a dog without a red collar", ""),
    ("a ball that is not red", ""),
    ("the ball isn't red but blue", "blue ball"),
    ("a table whose legs are golden", "golden legs"),
    ("its colour is red", ""),
    ("The ball's colour is red.", "red ball"),
    ("The color of the car is red.", "red car"),
    ("a car. Its color is blue.", "blue car"),
    ("a duck with a metallic texture in the shape of a heart", "metallic duck, heart duck"),
    ("a cloud shaped like a heart", "heart cloud"),
    ("a heart-shaped box and an egg-shaped chair", "heart box, egg-shaped chair"),
    ("a huge-sized elephant and a life-sized statue", "huge elephant, life-sized statue"),
    ("a light blue car and a dark-green truck", "light blue car, dark-green truck"),
    ("a navy blue suit, a bright red tie", "navy blue suit, bright red tie"),
    ("an orange cat eating an orange", "orange cat"),
    (
        "a fluffy white cat, a brown dog, 8k, highly detailed, trending on artstation",
        "fluffy cat, white cat, brown dog",
    ),
    ("a beautiful painting of a red barn in the style of Monet, oil on canvas", "red barn"),
    ("a red panda on a green fire hydrant", "green fire hydrant"),
    ("a polar bear and a brown bear", "brown bear"),
    ("a teddy bear wearing a yellow hat", "yellow hat"),
    ('a sign that says "red cube" on a blue wall', "blue wall"),
    ("a woman in red and a man dressed in black", "red woman, black man"),
    ("a woman in a red dress", "red dress"),
    ("the sky is a deep blue", "deep blue sky"),
    ("a big, red, shiny apple", "big apple, red apple, shiny apple"),
    ("a big red and a small blue cube", "big cube, red cube, small cube, blue cube"),
    ("red and green apples and yellow pears", "red apples, green apples, yellow pears"),
    ("a rabbit, white and fluffy, sits on a mat", "white rabbit, fluffy rabbit"),
    ("Cats are white. Dogs are black.", "white Cats, black Dogs"),
    ("The cube to the left of the sphere is red", "red cube"),
    ("A yellow bird perched on a brown branch", "yellow bird, brown branch"),
    ("the cube and the sphere are red and blue respectively", "red cube, blue sphere"),
    ("On top of the wooden table is a glass vase", "wooden table, glass vase"),
    ("a cube which is made of glass and a wooden sphere", "glass cube, wooden sphere"),
    ("A leather jacket and a pair of blue denim jeans", "leather jacket, blue jeans, denim jeans"),
    ("a red slice of cake", "red cake"),
    ("a small brown dog chasing a large grey cat", "small dog, brown dog, large cat, grey cat"),
    ("an old man smiling at a young woman", "old man, young woman"),
    ("a smiling woman with curly hair", "smiling woman, curly hair"),
    ("A RED CUBE AND A BLUE SPHERE", "RED CUBE, BLUE SPHERE"),
    ("A Red Cube And A Blue Sphere", "Red Cube, Blue Sphere"),
    ("red cube", "red cube"),
    ("cube, red", "red cube"),
    ("a red cube, a blue sphere, and a green cone", "red cube, blue sphere, green cone"),
    ("the red one is next to the blue one", ""),
    ("a vase (blue) and a cup (red)", "blue vase, red cup"),
    ("a very tall building", "tall building"),
    ("brightly colored balloons", "brightly colored balloons"),
    ("a glass of red wine", "red wine"),
    ("a bowl full of green apples", "green apples"),
    ("a sofa with red and blue stripes", "red stripes, blue stripes"),
    ("a striped shirt with white buttons", "striped shirt, white buttons"),
    ("He has blue eyes and a red beard", "blue eyes, red beard"),
    ("a house with a red roof that is old", "red roof, old roof"),
    ("a red-and-white striped umbrella", "red-and-white umbrella, striped umbrella"),
    ("a stone bridge over a calm river", "stone bridge, calm river"),
    ("a golden crown on a black velvet cushion", "golden crown, black cushion, velvet cushion"),
    ("the leaves of the tree turned red", "red leaves"),
    ("the hat looks blue", "blue hat"),
    ("a square table next to a round rug", "square table, round rug"),
    ("a green square and a red triangle", "green square, red triangle"),
    ("a bird with a long yellow beak", "long beak, yellow beak"),
    ("pink elephants", "pink elephants"),
    ("an umbrella, which is yellow, leans against a white wall", "yellow umbrella, white wall"),
    ("a white and gold teapot", "white teapot, gold teapot"),
    ("un gato negro", ""),
    ("猫と赤い車", ""),
    ("🙂🙂", ""),
    ("a blue 🐟 and a red cup", "red cup"),
    (
        "a tiny, fluffy, white kitten and a giant black spider",
        "tiny kitten, fluffy kitten, white kitten, giant spider, black spider",
    ),
    ("Two dogs, one black and the other white, play with a red ball", "black dogs, white dogs, red ball"),
    ("a cake with white frosting and red cherries on top", "white frosting, red cherries"),
    ("a city street at night with neon signs", ""),
    ("five yellow taxis in front of a tall brick building", "yellow taxis, tall building, brick building"),
    (
        "a man wearing a blue shirt holding a green umbrella stands beside a red car",
        "blue shirt, green umbrella, red car",
    ),
    ("a purple-haired girl with silver earrings", "purple-haired girl, silver earrings"),
    ("the blue book is on the red book", "blue book, red book"),
    ("the apple is green and the banana yellow", "green apple, yellow banana"),
    ("a bright blue sky with fluffy clouds", "bright blue sky, fluffy clouds"),
    ("a girl with long, straight, black hair", "long hair, straight hair, black hair"),
    ("a coat with buttons made of brass", "brass buttons"),
    ("a rusty old truck", "rusty truck, old truck"),
    ("an antique wooden rocking chair", "antique rocking chair, wooden rocking chair"),
    ("a white-tailed deer", "white-tailed deer"),
    ("a knitted red scarf", "knitted scarf, red scarf"),
    ("the walls are painted blue and the floor is tiled", "blue walls, tiled floor"),
    ("A robot whose body is made of copper", "copper body"),
    ("a photo of one apple", ""),
    ("a green apple and another red one", "green apple, red apple"),
    ("a lamp with a red shade", "red shade"),
    ("a fish in a round glass bowl", "round bowl, glass bowl"),
    ("green eyes", "green eyes"),
    ("a dog that has a red collar and brown fur", "red collar, brown fur"),
    ("the red of the car", ""),
    ("a car red as blood", "red car"),
    ("a box full of red, green, and blue pencils", "red pencils, green pencils, blue pencils"),
    ("a big dog is sleeping on a small bed", "big dog, small bed"),
    ("On a desk, the pen is green and the globe beside it is beige.", "green pen, beige globe"),
    ("a coat, and next to it blue jeans", "blue jeans"),
    ("a jar made of ceramic next to a brush", "ceramic jar"),
    ("a cool box made of plastic stands beside wet sandals", "plastic cool box, wet sandals"),
    ("a man peeling an orange on a pink bench", "pink bench"),
    ("a van that is neither green nor grey, parked beside a purple taxi", "purple taxi"),
    ("a sheep that is not white in front of a yellow barn", "yellow barn"),
    ("a car that isn't black, next to a blue canoe", "blue canoe"),
    ("a ball that is not red, blue or green", ""),
    ("The room has a purple sofa but not a turquoise armchair.", "purple sofa"),
    ("a black umbrella, not a white one, leaning against a wall", "black umbrella"),
    ("a boy holding a brown kite instead of a white one", "brown kite"),
    ("A rough pebble lies on a windowsill, next to a spiky seashell.", "rough pebble, spiky seashell"),
    ("On the wet sand lies a shell.", "wet sand"),
    ("There are felt slippers on the doormat.", "felt slippers"),
    ("a balloon that is wrinkled near a kite that is crumpled", "wrinkled balloon, crumpled kite"),
    ("a paper toy boat with canvas sails", "paper toy boat, canvas sails"),
    ("a blue watering can on a yellow hay bale", "blue watering can, yellow hay bale"),
    ("a tall mug full of pencils", "tall mug"),
    ("cherry tomatoes on a brown tray", "brown tray"),
    ("Mrs Brown in a black hat", "black hat"),
    ("A tiny present lies on a table, and the oil can is conical.", "tiny present, conical oil can"),
    ("a small turquoise box and a large orange one", "small box, turquoise box, large box, orange box"),
    ("Beside a keyboard lie leather headphones.", "leather headphones"),
]


def check_spans(spec: Spec) -> None:
    """Every text is what the prompt has in its span; characters that nobody sees and prompt syntax are left out."""
    parts = [part for thing in spec.objects for part in (thing, *thing.attributes)]
    parts += [thing.count for thing in spec.objects if thing.count is not None]
    for part in [*parts, *spec.relations, *spec.ignored]:
        typed = spec.prompt[slice(*part.span)]
        assert not {unicodedata.category(c) for c in part.text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert part.text == " ".join(part.text.split())
        if typed != part.text and not any(unicodedata.category(c)[0] in "CZ" or c in SYNTAX for c in typed):
            assert unicodedata.category(typed[-1]) == "Mn", (typed, part.text)
        letters = iter(typed.replace("\n", " "))
        assert all(c in " \ufffd" or c in letters for c in part.text), (typed, part.text)
    for thing in spec.objects:
        assert thing.phrase_span[0] <= thing.span[0]
        assert thing.span[1] <= thing.phrase_span[1]


SYNTAX = "()[]{}<>|:+-_\\.,0123456789"


@pytest.mark.parametrize(("prompt", "expected"), PAIRS)
def test_pairs(prompt, expected):
    spec = parse(prompt)
    wanted = sorted(pair.strip() for pair in expected.split(",") if pair.strip())
    assert sorted(f"{attribute} {thing}" for attribute, thing in spec.pairs) == wanted
    assert spec.nothing_to_bind == (not wanted)
    check_spans(spec)


def kinds(prompt: str) -> dict[str, str]:
    return {a.text: a.kind for thing in parse(prompt).objects for a in thing.attributes}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a small striped red cube", {"small": "size", "striped": "texture", "red": "colour"}),
        ("a round wooden table", {"round": "shape", "wooden": "material"}),
        ("a heart-shaped light-blue box", {"heart": "shape", "light-blue": "colour"}),
        ("a duck with a glass texture", {"glass": "texture"}),
        ("a table made of oak", {"oak": "material"}),
        ("an old house", {"old": "other"}),
        ("a huge-sized, metallic-textured fork", {"huge": "size", "metallic": "texture"}),
    ],
)
def test_kinds(prompt, expected):
    assert kinds(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("two red cubes and a dozen blue balls", ((2, "cubes"), (12, "balls"))),
        ("3 dogs, ten cats", ((3, "dogs"), (10, "cats"))),
        ("a couple of green apples", ((2, "apples"),)),
        ("a 1977 Porsche", ()),
        ("a red cube", ()),
    ],
)
def test_counts(prompt, expected):
    assert parse(prompt).counts == expected


def relations(prompt: str) -> list[tuple[str, str, str]]:
    spec = parse(prompt)
    return [(spec.objects[r.subject].text, r.text, spec.objects[r.object].text) for r in spec.relations]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red cube on top of a blue sphere", [("cube", "on top of", "sphere")]),
        ("the dog is to the left of the cat", [("dog", "to the left of", "cat")]),
        ("a bird sits behind a rock", [("bird", "behind", "rock")]),
        ("To the right of the table is a chair", [("chair", "To the right of", "table")]),
        ("a man wearing a hat", [("man", "wearing", "hat")]),
        ("a cup between a fork and a spoon", [("cup", "between", "fork"), ("cup", "between", "spoon")]),
    ],
)
def test_relations_have_a_direction(prompt, expected):
    assert relations(prompt) == expected


def test_a_relation_turned_round_is_another():
    assert relations("a cube behind a ball") != relations("a ball behind a cube")


def test_negated_objects_are_kept_as_such():
    spec = parse("a man with no red hat and a car without wheels")
    assert {thing.text for thing in spec.objects if thing.negated} == {"hat", "wheels"}
    assert spec.pairs == ()


def test_a_second_mention_is_the_same_object():
    spec = parse("A horse stands in a field. The horse is white. It is huge.")
    assert [thing.text for thing in spec.objects] == ["horse", "field"]
    assert spec.pairs == (("white", "horse"), ("huge", "horse"))


def test_style_and_picture_are_ignored_with_a_reason():
    spec = parse("a photo of a red car, highly detailed, 8k, soft lighting, in the style of Monet")
    reasons = {word.text: word.reason for word in spec.ignored}
    assert [thing.text for thing in spec.objects if thing.attributes] == ["car"]
    assert reasons["photo"] == "the picture itself"
    assert reasons["lighting"] == reasons["Monet"] == "style"


def test_every_word_is_bound_or_ignored():
    prompt = "The two small dogs, which are brown, sit on a very old wooden bench under the tree."
    spec = parse(prompt)
    spans = [*spec.bound, *(word.span for word in spec.ignored)]
    covered = {k for start, end in spans for k in range(start, end)}
    assert {k for k, letter in enumerate(prompt) if letter.isalnum()} <= covered


@pytest.mark.parametrize("prompt", ["", "   ", "\n", "🙂", "...", "猫", "8k"])
def test_nothing_to_bind_is_a_state(prompt):
    spec = parse(prompt)
    assert spec.nothing_to_bind
    assert spec.objects == ()


def test_a_missing_spacy_model_is_named_with_the_way_out():
    with pytest.raises(UsageError, match="spacy download en_missing_model"):
        parse("a red cube", model="en_missing_model")


def test_a_spacy_model_without_a_parser_is_refused(tmp_path):
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UsageError, match="no dependency parser"):
        parse("a red cube", model=str(tmp_path / "blank"))
