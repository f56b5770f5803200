"""Pictures of every kind as RGB, against references made by hand; files that are no pictures, or too much of one."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from abe_rerank import images as module
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.images import pictures_in, read, to_pil

RNG = np.random.default_rng(0)
RAMP = np.linspace(0, 1, 12).reshape(3, 4)


def saved(array: np.ndarray, file: Path) -> str:
    Image.fromarray(array).save(file)
    return str(file)


def grey(picture: Image.Image) -> np.ndarray:
    """[height, width] of a picture whose channels agree."""
    pixels = np.asarray(picture)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


@pytest.mark.parametrize("top", [1.0, 0.5, 0.003])
def test_floats_between_0_and_1_are_black_to_white(tmp_path: Path, top: float) -> None:
    values = (RAMP * top).astype(np.float32)
    expected = np.rint(values.astype(np.float64) * 255)
    assert np.array_equal(grey(read(saved(values, tmp_path / "a.tiff"))), expected)
    assert np.array_equal(grey(to_pil(Image.fromarray(values))), expected)


@pytest.mark.parametrize("bad", [255.0, -0.5, np.nan, np.inf])
def test_floats_that_tell_no_scale_are_refused(tmp_path: Path, bad: float) -> None:
    values = RAMP.astype(np.float32)
    values[1, 1] = bad
    with pytest.raises(UsageError, match=r"a\.tiff holds floats from .*scale them to \[0, 1\]"):
        read(saved(values, tmp_path / "a.tiff"))


@pytest.mark.parametrize("form", ["png", "tiff"])
def test_sixteen_bits_of_grey_become_eight(tmp_path: Path, form: str) -> None:
    values = RNG.integers(0, 65536, (300, 7)).astype(np.uint16)  # more rows than are turned at once
    expected = np.rint(values / 65535 * 255)
    assert np.array_equal(grey(read(saved(values, tmp_path / f"a.{form}"))), expected)


def test_32_bit_numbers_are_read_as_16_bits_and_refused_beyond(tmp_path: Path) -> None:
    values = np.array([[0, 300], [40000, 65535]], np.int32)
    assert np.array_equal(grey(read(saved(values, tmp_path / "a.tiff"))), np.rint(values / 65535 * 255))
    values[0, 0] = 70000
    with pytest.raises(UsageError, match="numbers from 300 to 70000"):
        read(saved(values, tmp_path / "a.tiff"))


def on_white(pixels: np.ndarray) -> np.ndarray:
    """[height, width, 4] laid on white, as floats."""
    alpha = pixels[:, :, 3:] / 255
    return pixels[:, :, :3] * alpha + 255 * (1 - alpha)


def test_transparent_pictures_lie_on_white(tmp_path: Path) -> None:
    rgba = RNG.integers(0, 256, (5, 6, 4)).astype(np.uint8)
    assert np.abs(np.asarray(read(saved(rgba, tmp_path / "a.png"))) - on_white(rgba)).max() <= 1
    la = Image.fromarray(rgba).convert("LA")
    la.save(tmp_path / "la.png")
    pair = np.asarray(la)
    expected = on_white(np.concatenate([np.repeat(pair[:, :, :1], 3, 2), pair[:, :, 1:]], 2))
    assert np.abs(np.asarray(read(str(tmp_path / "la.png"))) - expected).max() <= 1
    assert np.abs(np.asarray(to_pil(la.convert("La"))) - expected).max() <= 2


def test_a_palette_with_a_transparent_colour_lies_on_white(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 0])
    picture.putdata([0, 1])
    picture.save(tmp_path / "a.png", transparency=0)
    assert np.asarray(read(str(tmp_path / "a.png"))).tolist() == [[[255, 255, 255], [200, 100, 0]]]


def test_one_bit_and_cmyk(tmp_path: Path) -> None:
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    bits.save(tmp_path / "a.png")
    assert np.asarray(read(str(tmp_path / "a.png"))).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # no cyan: red
    for form in ("jpg", "tiff"):
        ink.save(tmp_path / f"a.{form}")
        assert np.abs(np.asarray(read(str(tmp_path / f"a.{form}"))).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = RNG.integers(0, 256, (2, 3, 3)).astype(np.uint8)
    turns = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turns[orientation])).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(read(str(tmp_path / "a.png"))), upright)


@pytest.mark.parametrize("form", ["gif", "webp", "tiff", "png"])
def test_of_several_frames_the_first_is_read_and_said_so(tmp_path: Path, form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{form}", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.warns(UserWarning, match="several frames; the first is read"):
        picture = read(str(tmp_path / f"a.{form}"))
    assert np.asarray(picture)[0, 0].tolist() == [255, 0, 0] or form == "gif"
    assert np.asarray(picture)[0, 0, 0] > 200


def test_what_holds_no_data_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UsageError, match="a pipe or a device"):
        read(str(tmp_path / "pipe.png"))
    with pytest.raises(UsageError, match="a pipe or a device"):
        read("/dev/zero")
    with pytest.raises(UsageError, match="is a folder"):
        read(str(tmp_path))
    with pytest.raises(UsageError, match="no such image file"):
        read(str(tmp_path / "none.png"))
    for odd in ("a\0b.png", "x" * 300 + ".png"):
        with pytest.raises(AbeRerankError):
            read(odd)


def test_large_pictures_are_reduced_and_larger_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (90, 60), "blue")
    ImageDraw.Draw(picture).rectangle((0, 0, 44, 59), fill="red")
    for form in ("png", "jpg"):
        picture.save(tmp_path / f"a.{form}")
    monkeypatch.setattr(module, "KEPT_PIXELS", 1000)
    for form in ("png", "jpg"):
        small = read(str(tmp_path / f"a.{form}"))
        assert small.width * small.height <= 1000
        assert small.width / small.height == pytest.approx(1.5, rel=0.1)
        left, right = np.asarray(small)[10, 3].astype(int), np.asarray(small)[10, -3].astype(int)
        assert left[0] > 200 > 60 > left[2]
        assert right[2] > 200 > 60 > right[0]
    monkeypatch.setattr(module, "MOST_PIXELS", 5000)
    with pytest.raises(AbeRerankError, match="million pixels"):
        read(str(tmp_path / "a.png"))


def test_a_picture_above_pillows_own_limit_is_read_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(str(tmp_path / "a.png")).size == (90, 60)


def test_a_folder_says_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("b.png", "a.JPG", "below/c.webp", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "below" / "loop").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    found, left_out = pictures_in(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.JPG", "b.png", "below/c.webp", "link.png"]
    assert [line.rsplit("/", 1)[1] for line in left_out] == [
        "loop: a link to a folder",
        "gone.png: a broken link",
        "pipe.png: not a regular file",
    ]


def whole_files() -> list[bytes]:
    """A small file of each form."""
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 7, 3)).astype(np.uint8))
    files = []
    for form in ("png", "jpeg", "gif", "webp", "bmp", "tiff"):
        stream = io.BytesIO()
        picture.save(stream, form)
        files.append(stream.getvalue())
    return files


WHOLE = whole_files()


def outcome(file: Path) -> str:
    """The mode of a file's picture, or what is said of it."""
    try:
        return read(str(file)).mode
    except AbeRerankError as error:
        return str(error)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_pictures_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(WHOLE)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged.png"
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = outcome(file)
    assert said == "RGB" or (str(file) in said and "\n" not in said)


def fax(damaged: bool) -> bytes:
    """A black and white TIFF by the code of fax machines; damaged, libtiff decodes it all the same."""
    held = io.BytesIO()
    Image.fromarray(RNG.random((40, 50)) < 0.5).save(held, "TIFF", compression="group4")
    content = bytearray(held.getvalue())
    if damaged:
        content[20:80] = b"\xaa" * 60
    return bytes(content)


def test_a_tiff_that_libtiff_calls_damaged_is_refused_and_nothing_else_is_written(capfd, tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(fax(damaged=True))
    with pytest.raises(AbeRerankError, match=r"a\.tif is damaged: Fax4Decode: "):
        read(str(file))
    assert capfd.readouterr() == ("", "")
    file.write_bytes(fax(damaged=False))
    assert set(np.unique(grey(read(str(file))))) == {0, 255}


def test_what_others_write_while_a_tiff_is_decoded_is_not_lost(capfd) -> None:
    said: list[str] = []
    with module._libtiff_errors_into(said):
        os.write(2, b"tempfile.tif: Using code not yet in table.\nscoring: 50%\nwarning: b.tif: old\n")
        os.write(2, b"TIFFReadDirectory: Warning, Unknown field with tag 700.\n")
    assert said == ["tempfile.tif: Using code not yet in table."]
    assert capfd.readouterr().err.startswith("scoring: 50%\nwarning: b.tif: old\n")


def test_pillows_own_warnings_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8), "red").save(file, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")  # five tags, and none follows
    with pytest.warns(UserWarning, match=r"a\.jpg: Corrupt EXIF data"):
        assert read(str(file)).size == (8, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_a_picture_reduced_some_rows_at_a_time_is_the_reduced_picture(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, values = tmp_path / "a.png", RNG.integers(0, 256, (307, 211, 4), dtype=np.uint8)
    made = Image.fromarray(values)
    picture = Image.fromarray(values[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else made.convert(mode)
    picture.save(file, **({"transparency": 3} if mode == "P" else {}))
    whole = read(str(file))
    monkeypatch.setattr(module, "KEPT_PIXELS", 307 * 211 // 5)
    found = np.asarray(read(str(file))).astype(int)
    assert found.shape == (103, 71, 3)
    assert np.abs(found - np.asarray(whole.reduce(3))).max() <= 1


def test_score_names_missing_files_before_it_loads_a_model(cli, tmp_path: Path, backbone_folder: Path) -> None:
    code, out, err = cli("score", tmp_path / "a.png", "--prompt", "a red cube", "--backbone", "/no/such/backbone")
    assert (code, out) == (2, "")
    assert "no such image file" in err
    assert "backbone" not in err


def test_score_goes_on_past_a_file_that_it_cannot_read_and_says_what_it_leaves_out(
    cli, tmp_path: Path, backbone_folder: Path
) -> None:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.png")
    Image.new("L", (16, 16)).save(tmp_path / "b.gif", save_all=True, append_images=[Image.new("L", (16, 16), 9)])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "loop").symlink_to(tmp_path)
    named = [tmp_path / "pipe.png", tmp_path / "none.png", tmp_path / ("x" * 300 + ".png"), tmp_path]
    code, out, err = cli("score", *named, "--prompt", "a red cube", "--backbone", backbone_folder)
    assert code == 1
    assert "a.png" in out
    assert "b.gif" in out
    assert "a pipe or a device" in out
    assert "left out" in err
    assert "a link to a folder" in err
    assert "image files cannot be read" in err
    assert "several frames" in err
    assert "3 of 5 images could not be scored" in err
