"""Models' folders with damaged bytes: a model, or one line that names it; never an error of a library underneath."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import save_tiny

from abe_rerank.backbones import load_backbone
from abe_rerank.drawing.pipelines import load_pipeline
from abe_rerank.drawing.sampling import Sampling, call_arguments
from abe_rerank.errors import AbeRerankError

FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

ODD = st.one_of(
    st.sampled_from([b"", b"[]", b"{}", b"null", b"3", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000]),
    st.binary(max_size=60),
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("CLIPModel", tmp_path_factory.mktemp("clip"))


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """A file's bytes with some replaced, cut off, or something else in their place."""
    kind = data.draw(st.sampled_from(["other", "cut", "changed"]))
    if kind == "other":
        return data.draw(ODD)
    if kind == "cut":
        return content[: data.draw(st.integers(0, len(content)))]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, min(len(content), 4000) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)


def said(load: object, *arguments: object, **options: object) -> str | None:
    """What a refusal says; None where there is none."""
    try:
        load(*arguments, **options)  # type: ignore[operator]
    except AbeRerankError as error:
        return str(error)
    return None


@FEW
@given(data=st.data())
def test_a_backbone_with_a_damaged_file(clip: Path, tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(path.name for path in clip.iterdir())))
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(clip, folder)
    (folder / name).write_bytes(damaged((clip / name).read_bytes(), data))
    line = said(load_backbone, folder, device="cpu")
    assert line is None or (str(folder) in line and "\n" not in line)


@FEW
@given(data=st.data())
def test_a_pipeline_with_a_damaged_file(pipeline_folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    names = sorted(str(path.relative_to(pipeline_folder)) for path in pipeline_folder.rglob("*.*") if path.is_file())
    name = data.draw(st.sampled_from([name for name in names if not name.startswith("raw")]))
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pipeline_folder, folder)
    (folder / name).write_bytes(damaged((pipeline_folder / name).read_bytes(), data))
    line = said(load_pipeline, folder, device="cpu")
    assert line is None or (str(folder) in line and "\n" not in line)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=ODD | st.text(alphabet='{}[]":,0123456789 numifercstpga_dl', max_size=60).map(str.encode))
def test_a_sampling_file_of_any_bytes(pipeline: object, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "sampling.json"
    file.write_bytes(content)
    line = said(call_arguments, Elsewhere(pipeline, tmp_path), Sampling())
    assert line is None or ("sampling.json" in line and "\n" not in line)


class Elsewhere:
    """A pipeline as if loaded from another folder."""

    def __init__(self, pipeline: object, folder: Path) -> None:
        self._pipeline = pipeline
        self.config = {"_name_or_path": str(folder)}
        self.components = pipeline.components  # type: ignore[attr-defined]
        self.__call__ = pipeline.__call__  # type: ignore[operator]
