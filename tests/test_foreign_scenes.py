"""Foreign scenes: their ground truth holds, their captions are unmistakable, their seeds are their own."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import save_tiny

from abe_rerank.backbones import load_backbone
from abe_rerank.benchmarks.binding_benchmark import as_text, run
from abe_rerank.benchmarks.checkout.foreign_tasks import (
    FLAT,
    SOLIDS,
    ForeignTask,
    World,
    _twins,
    box_of,
    cases,
    foreign_rng,
    seen,
)
from abe_rerank.benchmarks.scene_sources import scene_source
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse
from abe_rerank.shapes.foreign import flat, solids
from abe_rerank.shapes.foreign.raycast import Solid, View, bounds, cast

ALL = [(world, task) for world in (FLAT, SOLIDS) for task in world.tasks]


@pytest.mark.parametrize(("world", "task"), ALL, ids=lambda x: x.name)
def test_captions_fit_their_own_picture_only(world: World, task: ForeignTask) -> None:
    for (scenes, named), case in zip(_twins(world, task, "choose", 3), cases(world, task, "choose", 3), strict=True):
        assert len({image.tobytes() for image in case.images}) == 2
        assert task.least <= len(scenes[0].things) <= task.most
        for scene, caption in zip(scenes, case.captions, strict=True):
            spec = parse(caption)
            assert len(spec.pairs) == task.named * len(task.says)
            for k in named:
                words = " ".join(getattr(scene.things[k], said) for said in (*task.says, "shape"))
                assert words in caption
        for own, other in ((scenes[0], case.captions[1]), (scenes[1], case.captions[0])):
            fits = [all(f"{t.colour} {t.shape}" in other for t in (own.things[k],)) for k in named]
            changed = "colour" in task.fields or "shape" in task.fields
            assert sum(fits) < task.named or not changed


@pytest.mark.parametrize("world", [FLAT, SOLIDS], ids=lambda w: w.name)
def test_targets_lie_where_the_picture_shows_their_colour(world: World) -> None:
    colours = flat.COLOURS if world is FLAT else solids.COLOURS
    for picture in seen(world, world.tasks[0], "choose", 3):
        pixels = np.asarray(picture.image, np.float64)
        assert parse(picture.caption).pairs == tuple((t.colour, t.shape) for t in picture.targets)
        for target in picture.targets:
            inside = np.median(pixels[target.mask > 0.99], axis=0)
            gaps = {name: np.arccos(_cosine(inside, rgb)) for name, rgb in colours.items()}
            assert gaps[target.colour] < 0.12
            left, top, right, bottom = target.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1


def _cosine(a: np.ndarray, b: tuple[int, int, int]) -> float:
    return float(np.clip(a @ np.array(b, float) / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def test_a_cast_ball_is_where_the_camera_puts_it() -> None:
    ball = Solid("sphere", 0.7, 1.0, 0.5, 0.0, (1.0, 0.0, 0.0), shiny=False)
    image, masks = cast((ball,), View())
    column, row, reach = bounds(ball, View())
    left, top, right, bottom = box_of(masks[0])
    assert (left + right) / 2 * image.width == pytest.approx(column, abs=1.5)
    assert (top + bottom) / 2 * image.height == pytest.approx(row, abs=1.5)
    assert masks[0].sum() == pytest.approx(np.pi * reach**2, rel=0.04)


def test_the_nearer_solid_hides_the_one_behind() -> None:
    near = Solid("cube", 0.0, -0.8, 0.5, 0.3, (0.0, 0.0, 1.0), shiny=True)
    far = Solid("cylinder", 0.0, 0.8, 0.5, 0.0, (0.0, 1.0, 0.0), shiny=False)
    _, alone = cast((far,), View())
    _, masks = cast((far, near), View())
    assert 0 < masks[0].sum() < alone[0].sum()
    np.testing.assert_array_less(masks.sum(axis=0), 1.0 + 1e-6)


def test_seeds_repeat_and_splits_differ() -> None:
    assert solids.sample(foreign_rng("choose", "x", 1), 4) == solids.sample(foreign_rng("choose", "x", 1), 4)
    assert solids.sample(foreign_rng("choose", "x", 1), 4) != solids.sample(foreign_rng("report", "x", 1), 4)
    first, again = (next(cases(FLAT, FLAT.tasks[0], "report", 1)) for _ in range(2))
    assert first.captions == again.captions
    assert first.images[0].tobytes() == again.images[0].tobytes()


def test_the_binding_benchmark_takes_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    backbone = load_backbone(save_tiny("SiglipModel", tmp_path_factory.mktemp("siglip")), device="cpu")
    report = run(backbone, 2, "choose", ablate=False, source=scene_source("solids"))
    assert {cell.task for cell in report.cells} == {task.name for task in SOLIDS.tasks}
    assert report.calibration_error is None
    assert "pointing, 2 of 3-4 objects" in as_text(report)
    with pytest.raises(UsageError, match="unknown scenes 'photos'"):
        scene_source("photos")
