"""Backbones against the models' own logits, and their dense readouts against what must hold of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny_models import FAMILIES, IMAGE_SIZE, WINDOW, images, save_tiny

from abe_rerank.backbones import DualEncoder, families, load_backbone
from abe_rerank.backbones.families import reader_of, supported
from abe_rerank.backbones.families.clip import ClipReader
from abe_rerank.errors import UsageError
from abe_rerank.parsing import parse

TEXTS = ["a red cube", "a photo of a striped blue sphere and a dog", "ring"]


@pytest.fixture(scope="module", params=FAMILIES)
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return load_backbone(folder, device="cpu")


def _logits(backbone: DualEncoder, pictures: list, texts: list[str]) -> torch.Tensor:
    """The model's own logits, by its documented call."""
    siglip = hasattr(backbone.model, "logit_bias")
    padding = {"padding": "max_length", "max_length": WINDOW} if siglip else {"padding": True}
    tokens = backbone.tokenizer(texts, return_tensors="pt", **padding)
    names = ("input_ids",) if siglip else ("input_ids", "attention_mask")
    pixels = backbone.processor(images=pictures, return_tensors="pt")
    with torch.no_grad():
        output = backbone.model(**{name: tokens[name] for name in names}, **pixels)
    logits = output.logits_per_image
    bias = backbone.model.logit_bias if siglip else 0.0
    return (logits - bias) / backbone.model.logit_scale.exp()


def test_cosines_are_the_models_own(backbone: DualEncoder) -> None:
    pictures = images(3)
    features = backbone.encode_images(pictures)
    cosines = features.global_ @ backbone.encode_texts(TEXTS).T
    torch.testing.assert_close(cosines, _logits(backbone, pictures, TEXTS).detach(), atol=1e-5, rtol=0)
    assert cosines.std() > 1e-4


def test_features_have_unit_length_and_the_grid_of_the_image(backbone: DualEncoder) -> None:
    for readout in backbone.readouts:
        features = backbone.encode_images(images(2), readout)
        assert features.grid == (4, 4)
        assert features.mask.all()
        places = 9 if readout.startswith("regions") else 16
        torch.testing.assert_close(features.patches.norm(dim=-1), torch.ones(2, places))


def test_readouts_differ_and_an_unknown_one_is_refused(backbone: DualEncoder) -> None:
    patches = {r: backbone.encode_images(images(1), r).patches for r in backbone.readouts}
    names = list(patches)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            same_shape = patches[name].shape == patches[other].shape
            assert not same_shape or (patches[name] - patches[other]).abs().max() > 1e-3
    for unknown in ("middle", "regions 1", "regions 1/2", "regionsx"):
        with pytest.raises(UsageError, match=f"no patch readout '{unknown}'"):
            backbone.encode_images(images(1), unknown)


def test_an_image_does_not_depend_on_its_batch(backbone: DualEncoder) -> None:
    pictures = [*images(3), *images(1, size=(80, 30), seed=1), *images(1, seed=2)]
    for readout in backbone.readouts:
        together = backbone.encode_images(pictures, readout)
        for k in (3, 4):
            alone = backbone.encode_images(pictures[k : k + 1], readout)
            assert together.grids[k] == alone.grids[0]
            mine, own = together.patches[k][together.mask[k]], alone.patches[0][alone.mask[0]]
            torch.testing.assert_close(mine, own, atol=1e-5, rtol=0)
            torch.testing.assert_close(together.global_[k], alone.global_[0], atol=1e-5, rtol=0)


def test_other_input_sizes_interpolate_positions(backbone: DualEncoder) -> None:
    larger = DualEncoder(
        backbone.model, backbone.tokenizer, backbone.processor, backbone.reader, backbone.folder, "x", image_size=48
    )
    assert larger.encode_images(images(2)).grid == (6, 6)


def _resized(backbone: DualEncoder, size: object) -> DualEncoder:
    return load_backbone(backbone.folder, device="cpu", image_size=size)


def test_height_and_width_squeeze_the_whole_picture(backbone: DualEncoder) -> None:
    wide = _resized(backbone, "16x48")
    for readout in backbone.readouts:
        features = wide.encode_images(images(2, size=(60, 40)), readout)
        assert torch.isfinite(features.patches).all()
        if type(backbone.model) is transformers.Siglip2Model:
            assert all(rows * columns <= 12 and rows <= columns for rows, columns in features.grids)
        else:
            assert features.grid == (2, 6)
            assert features.windows[0] == (0, 0, 1, 1)
    if type(backbone.model) is not transformers.Siglip2Model:
        picture = images(1, size=(48, 16))[0]
        pixels = backbone.processor(
            images=[picture], return_tensors="pt", do_resize=False, **{"do_center_crop": False}
        )["pixel_values"]
        with torch.no_grad():
            own = backbone.model.get_image_features(pixel_values=pixels, interpolate_pos_encoding=True)
        own = own if isinstance(own, torch.Tensor) else own.pooler_output
        torch.testing.assert_close(wide.encode_global([picture]), own / own.norm(), atol=1e-5, rtol=0)


def test_the_models_own_size_said_aloud_changes_nothing(backbone: DualEncoder) -> None:
    pictures = images(2, size=(50, 40))
    said = _resized(backbone, IMAGE_SIZE).encode_images(pictures)
    torch.testing.assert_close(said.patches, backbone.encode_images(pictures).patches, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", ["big", "0", "33", "16x", "16x20", "-16", (16, 20), 0, ""])
def test_a_size_that_is_no_grid_of_patches_is_refused(tmp_path: Path, size: object) -> None:
    folder = save_tiny("SiglipModel", tmp_path)
    with pytest.raises(UsageError, match="image size"):
        load_backbone(folder, device="cpu", image_size=size)


def test_text_is_encoded_once_and_long_text_in_windows(backbone: DualEncoder) -> None:
    short = backbone.encode_texts(["a red cube"])
    torch.testing.assert_close(short, backbone.encode_texts(["ring", "a red cube"])[1:])
    long = ", ".join(["a striped red cube next to a dog"] * 4)
    spans = backbone.text_windows(long)
    assert len(spans) > 1
    assert " ".join(long[a:b] for a, b in spans) == long
    assert all(long[a - 2 : a] == ", " for a, _ in spans[1:])
    mean = backbone.encode_texts([long[a:b] for a, b in spans]).mean(dim=0)
    torch.testing.assert_close(backbone.encode_texts([long])[0], mean / mean.norm())


def test_no_window_cuts_through_the_phrase_of_an_object_that_fits(backbone: DualEncoder) -> None:
    phrases = ("a dog", "a striped red cube", "a blue sphere", "two striped blue cubes")
    for first in range(4):
        for count in (5, 8):
            text = " and ".join(phrases[(first + k) % 4] for k in range(count))
            spans = backbone.text_windows(text)
            assert len(spans) > 1
            for thing in parse(text).objects:
                assert any(a <= thing.phrase_span[0] and thing.phrase_span[1] <= b for a, b in spans), text[
                    slice(*thing.phrase_span)
                ]
            assert " ".join(text[a:b] for a, b in spans) == text


def _need_words(backbone: DualEncoder) -> None:
    if type(backbone.model) is transformers.Siglip2Model:
        pytest.skip("AutoTokenizer gives every SigLIP 2 model Gemma's tokenizer, whose vocabulary is not on this disk")


def test_token_states_point_back_into_the_text(backbone: DualEncoder) -> None:
    _need_words(backbone)
    text = ", ".join(["a striped red cube next to a dog"] * 3)
    tokens, other = backbone.encode_tokens([text, "a red cube"])
    words = [text[a:b] for a, b in tokens.spans]
    assert words == text.replace(",", " ,").split()
    assert tokens.states.shape[0] == len(words)
    assert [text[a:b] for a, b in (tokens.spans[i] for i in tokens.indices((2, 13)))] == ["striped", "red"]
    torch.testing.assert_close(other.states, backbone.encode_tokens(["a red cube"])[0].states, atol=1e-5, rtol=0)


def test_centre_crop_is_reported_as_a_window(tmp_path: Path) -> None:
    clip = load_backbone(save_tiny("CLIPModel", tmp_path / "clip"), device="cpu")
    left, top, right, bottom = clip.encode_images(images(1, size=(80, 40))).windows[0]
    np.testing.assert_allclose((left, top, right, bottom), (0.25, 0, 0.75, 1), atol=1e-9)
    siglip = load_backbone(save_tiny("SiglipModel", tmp_path / "siglip"), device="cpu")
    assert siglip.encode_images(images(1, size=(80, 40))).windows[0] == (0, 0, 1, 1)


def test_naflex_keeps_the_shape_of_each_image(tmp_path: Path) -> None:
    backbone = load_backbone(save_tiny("Siglip2Model", tmp_path), device="cpu")
    wide, square = images(1, size=(80, 20)), images(1)
    features = backbone.encode_images([*wide, *square])
    assert features.grids == ((2, 8), (4, 4))
    thin = backbone.encode_images(images(1, size=(50, 20)))
    rows, columns = thin.grids[0]
    assert int(thin.mask.sum()) == rows * columns < thin.mask.shape[1]
    with pytest.raises(ValueError, match="different patch grids"):
        _ = features.grid


def test_siglip_value_readout_of_one_patch_is_the_global_embedding(tmp_path: Path) -> None:
    folder = save_tiny("SiglipModel", tmp_path)
    single = load_backbone(folder, device="cpu", image_size=IMAGE_SIZE // 4).encode_images(images(2))
    assert single.grid == (1, 1)
    torch.testing.assert_close(single.patches[:, 0], single.global_, atol=1e-5, rtol=0)


def test_value_readout_of_a_patch_ignores_the_others_in_the_last_block(tmp_path: Path) -> None:
    """With one vision layer the value readout of a patch depends on that patch alone."""
    folder = save_tiny("CLIPModel", tmp_path)
    backbone = load_backbone(folder, device="cpu")
    del backbone.model.vision_model.encoder.layers[0]
    picture = np.array(images(1, size=(IMAGE_SIZE, IMAGE_SIZE))[0])
    changed = picture.copy()
    changed[8:, :] = 255 - changed[8:, :]
    pair = [Image.fromarray(picture), Image.fromarray(changed)]
    value = backbone.encode_images(pair, "value").patches
    torch.testing.assert_close(value[0, :4], value[1, :4], atol=1e-5, rtol=0)
    last = backbone.encode_images(pair, "last").patches
    assert (last[0, :4] - last[1, :4]).abs().max() > 1e-4


def test_the_hash_follows_the_weights(tmp_path: Path) -> None:
    folder = save_tiny("CLIPModel", tmp_path / "a")
    first = load_backbone(folder, device="cpu")
    assert first.weights_hash == load_backbone(folder, device="cpu").weights_hash
    with torch.no_grad():
        first.model.logit_scale += 1
    first.model.save_pretrained(folder)
    assert load_backbone(folder, device="cpu").weights_hash != first.weights_hash


@pytest.mark.parametrize("name", ["no/such-model", "/nowhere/at/all"])
def test_an_unknown_model_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no backbone called"):
        load_backbone(name, device="cpu")


def test_a_family_is_added_by_registering_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "_READERS", dict(families._READERS))
    assert set(FAMILIES) <= set(supported())
    model = torch.nn.Linear(1, 1)
    with pytest.raises(UsageError, match=r"mine is a Linear, which cannot be read here; supported: .*Siglip2Model"):
        reader_of(model, "mine")
    families.reads("Linear")(ClipReader)
    assert isinstance(reader_of(model, "mine"), ClipReader)
    assert supported()[-1] == "Linear"


def test_a_folder_that_is_no_model_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json"):
        load_backbone(tmp_path)
    with pytest.raises(UsageError, match="unknown dtype"):
        load_backbone(save_tiny("CLIPModel", tmp_path), dtype="int8")
