"""The shapes world against what its own ground truth says."""

import re
from dataclasses import replace

import numpy as np
import pytest

from abe_rerank.shapes.render import render
from abe_rerank.shapes.training.captions import ANYTHING, Wording, caption, vocabulary, words_of
from abe_rerank.shapes.world import (
    CLOSE_UPS,
    COLOURS,
    LARGE_ABOVE,
    PATTERN_FROM,
    PATTERNS,
    SCENES,
    SHAPES,
    SMALL_BELOW,
    Scene,
    SceneObject,
    sample_colour,
    sample_scene,
    split_rng,
)


def scenes(number, settings=SCENES, **fixed):
    return [sample_scene(split_rng("choose", k), settings, **fixed) for k in range(number)]


def test_same_scene_same_bytes():
    for k in range(20):
        first, second = (render(sample_scene(split_rng("train", k)), 64)[0] for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_splits_differ():
    seen = {repr(sample_scene(split_rng(split, k))) for split in ("train", "choose", "report") for k in range(50)}
    assert len(seen) == 150


@pytest.mark.parametrize("size", [48, 96, 128, 131])
def test_size_and_masks(size):
    for scene in scenes(10):
        image, masks = render(scene, size)
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8
        assert masks.shape == (len(scene.objects), size, size)
        assert masks.min() >= 0
        assert masks.sum(0).max() <= 1 + 1e-5, "a pixel shows one object at most"


def test_masks_lie_in_boxes_and_fill_them():
    for scene in scenes(60, count=1):
        _, (mask,) = render(scene, 128)
        rows, columns = np.nonzero(mask > 0.5)
        left, top, right, bottom = (128 * e for e in scene.objects[0].box)
        slack = 2 + 0.05 * (right - left)
        assert columns.min() >= left - slack
        assert columns.max() <= right + slack
        assert rows.min() >= top - slack
        assert rows.max() <= bottom + slack
        assert max(np.ptp(rows), np.ptp(columns)) >= 0.75 * (right - left)


def test_pixels_of_a_plain_object_have_its_colour():
    for scene in scenes(40, count=1, pattern="plain"):
        thing = scene.objects[0]
        calm = Scene(objects=(replace(thing, gloss=0.0, outline=0.0, diameter=0.4, x=0.5, y=0.5),), shadow=0.0)
        image, (mask,) = render(calm, 96)
        seen = np.median(image[mask > 0.99], axis=0) / 255
        base = np.array(thing.rgb)
        assert np.all(seen <= base * 1.26 + 0.02)
        assert np.all(seen >= base * 0.55 - 0.02)


def test_pattern_leaves_the_outline_and_changes_the_surface():
    for scene in scenes(30, count=1):
        big = replace(scene.objects[0], diameter=0.5, x=0.5, y=0.5)
        images = {}
        for pattern in PATTERNS:
            images[pattern], masks = render(Scene(objects=(replace(big, pattern=pattern),)), 96)
            images[pattern + " mask"] = masks[0]
        assert np.array_equal(images["plain mask"], images["striped mask"])
        inside = images["plain mask"] > 0.99
        for pattern in ("striped", "dotted"):
            changed = np.abs(images[pattern].astype(int) - images["plain"]).sum(-1)[inside] > 40
            assert 0.1 < changed.mean() < 0.9


def body(shape, **looks):
    return SceneObject("red", shape, "plain", 0.5, 0.5, 0.8, (0.6, 0.5, 0.4), **{"lamp": 0.7, "girth": 0.8, **looks})


def seen(thing, light=0.0):
    image, masks = render(Scene(objects=(thing,), light=light, shadow=0.0), 96)
    return image.astype(int).sum(axis=-1), masks[0]


def test_metal_mirrors_light_and_dark_on_the_object_alone():
    (dull, mask), (shiny, same) = (seen(body("sphere", metal=metal)) for metal in (0.0, 0.5))
    assert np.array_equal(mask, same)
    change = shiny - dull
    assert not change[mask == 0].any()
    assert change.max() > 10
    assert change.min() < -10


@pytest.mark.parametrize("shape", ["sphere", "cylinder", "cone", "cube"])
def test_light_from_the_other_side_mirrors_a_body(shape):
    thing = body(shape, angle=np.pi / 4 if shape == "cube" else 0.0)
    (left, mask), (right, _) = seen(thing, 0.8), seen(thing, -0.8)
    assert np.abs(left - right[:, ::-1])[mask > 0.99].max() <= 3
    columns = np.arange(96)
    assert left[:, columns < 48].sum() > left[:, columns >= 48].sum()


def test_a_higher_lamp_brightens_the_lid_of_a_cylinder_and_darkens_its_side():
    low, high = (seen(body("cylinder", tilt=0.6, lamp=lamp))[0] for lamp in (0.3, 1.2))
    mask = seen(body("cylinder", tilt=0.6))[1]
    rows = np.flatnonzero(mask[:, 48] > 0.99)
    lid, side = rows[2], rows[-3]
    assert high[lid, 48] > low[lid, 48]
    assert high[side, 48] < low[side, 48]


def test_rotating_a_sphere_changes_nothing():
    thing = SceneObject("red", "sphere", "plain", 0.5, 0.5, 0.4, (1.0, 0.1, 0.1))
    a, b = (render(Scene(objects=(replace(thing, angle=t),)), 64)[0] for t in (0.0, 1.0))
    assert np.array_equal(a, b)


def test_what_is_in_front_hides_what_is_behind():
    back = SceneObject("red", "cube", "plain", 0.5, 0.5, 0.4, (1.0, 0.1, 0.1), angle=0.7)
    front = replace(back, shape="sphere", diameter=0.5)
    _, masks = render(Scene(objects=(back, front)), 64)
    assert masks[0].sum() < 0.05 * masks[1].sum()


def test_distribution_covers_the_world():
    drawn = [o for s in scenes(1500) for o in s.objects]
    for name, values in (("colour", COLOURS), ("shape", SHAPES), ("pattern", PATTERNS)):
        assert {getattr(o, name) for o in drawn} == set(values)
    diameters = np.array([o.diameter for o in drawn])
    assert diameters.min() < 0.12
    assert diameters.max() > 0.46
    assert all(o.pattern == "plain" for o in drawn if o.diameter < PATTERN_FROM)
    assert {len(s.objects) for s in scenes(200)} == {1, 2, 3, 4}
    assert {o.size for o in drawn} == {"small", "large", None}
    assert all((o.size == "small") == (o.diameter < SMALL_BELOW) for o in drawn)
    assert all((o.size == "large") == (o.diameter > LARGE_ABOVE) for o in drawn)


def test_fixed_attributes_and_counts():
    for scene in scenes(20, count=3, colour="cyan"):
        assert [o.colour for o in scene.objects] == ["cyan"] * 3


def test_colour_names_do_not_overlap():
    """A nearest-neighbour reader of 200 shades a name reads other shades of the names almost without error."""
    rng = np.random.default_rng(5)
    known = np.array([[sample_colour(c, rng) for _ in range(200)] for c in COLOURS]).reshape(-1, 3)
    fresh = np.array([[sample_colour(c, rng) for _ in range(50)] for c in COLOURS]).reshape(-1, 3)
    nearest = np.linalg.norm(fresh[:, None] - known[None], axis=-1).argmin(1) // 200
    assert (nearest == np.arange(len(fresh)) // 50).mean() > 0.99


CANONICAL = Wording(drop_size=1.0, synonym=0.0, opening=0.0, place=0.0)
ADJECTIVES = "|".join((*COLOURS, *PATTERNS, "small", "large"))


@pytest.mark.parametrize("style", ["full", "web", CANONICAL])
def test_captions_are_true(style):
    """Every adjective right before a canonical shape word is an attribute of an object of that shape."""
    checked = 0
    for k, scene in enumerate(scenes(300)):
        text = caption(scene, np.random.default_rng(k), style)
        for adjectives, noun in re.findall(rf"((?:(?:{ADJECTIVES}) )+)({'|'.join(SHAPES)})\b", text):
            kinds = [{o.colour, o.pattern, o.size} for o in scene.objects if o.shape == noun]
            assert any(set(adjectives.split()) <= kind for kind in kinds), text
            checked += 1
    assert checked > 100


def test_full_captions_name_every_object_and_colour():
    for k, scene in enumerate(scenes(200)):
        words = words_of(caption(scene, np.random.default_rng(k), CANONICAL))
        for thing in scene.objects:
            assert thing.shape in words or any(w.startswith(thing.shape) for w in words)
            assert thing.colour in words


def test_web_captions_leave_things_unsaid():
    texts = [caption(s, np.random.default_rng(k), "web") for k, s in enumerate(scenes(400, count=2))]
    silent = [t for t in texts if not set(words_of(t)) & set(COLOURS)]
    generic = [t for t in texts if set(words_of(t)) & set(ANYTHING)]
    assert 0.02 < len(silent) / len(texts) < 0.5
    assert len(generic) > 10


def test_vocabulary_holds_every_caption():
    words = set(vocabulary())
    for k, scene in enumerate([*scenes(300), *scenes(100, CLOSE_UPS)]):
        for style in ("full", "web"):
            assert set(words_of(caption(scene, np.random.default_rng(k), style))) <= words


def test_empty_scenes_say_so():
    assert "red" not in caption(Scene(objects=()), np.random.default_rng(0), "web")
    image, masks = render(Scene(objects=()), 48)
    assert masks.shape == (0, 48, 48)
    assert image.std() < 3
