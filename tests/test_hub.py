"""What people know from the Hugging Face libraries: where models come from, bars, logs, model cards."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import diffusers
import huggingface_hub
import numpy as np
import pytest
import transformers
from PIL import Image

from abe_rerank import Reranker, UsageError
from abe_rerank.backbones.hub import Hub
from abe_rerank.backbones.model_files import hushed
from abe_rerank.backbones.progress import bars_wanted
from abe_rerank.builtin import path
from abe_rerank.drawing.pipelines import load_pipeline

MAIN, OLD = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def cache(backbone_folder, tmp_path_factory) -> Path:
    """A cache in the layout of huggingface_hub, with a model in two revisions."""
    root = tmp_path_factory.mktemp("cache")
    model = root / "models--owner--clip"
    (model / "refs").mkdir(parents=True)
    for branch, commit in (("main", MAIN), ("old", OLD)):
        (model / "refs" / branch).write_text(commit)
        shutil.copytree(backbone_folder, model / "snapshots" / commit)
    return root


def folder_of(*arguments, **given):
    return Reranker.from_pretrained(*arguments, device="cpu", **given).scorer.backbone.folder


def test_a_model_comes_from_the_named_cache_at_the_named_revision(cache):
    assert folder_of("owner/clip", cache_dir=cache).name == MAIN
    assert folder_of("owner/clip", cache_dir=str(cache), revision="old", local_files_only=True).name == OLD
    assert folder_of("owner/clip", cache_dir=cache, revision=OLD).name == OLD
    assert folder_of("owner/clip@old", cache_dir=cache).name == OLD


def test_a_folder_needs_no_hub(backbone_folder, tmp_path):
    assert folder_of(backbone_folder, cache_dir=tmp_path, local_files_only=True, token="hf_x") == backbone_folder


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("owner/clip", {"revision": "new", "local_files_only": True}, "'owner/clip@new'.*leave out local_files_only"),
        ("owner/other", {"local_files_only": True}, "not in the local cache; leave out local_files_only"),
        ("owner/other", {}, "the model hub cannot be reached"),
        ("owner/clip@old", {"revision": "main"}, "a revision is that of a hub id"),
        (None, {"revision": "main"}, "a revision is that of a hub id owner/name, not of the built-in model"),
    ],
)
def test_what_the_cache_does_not_hold_is_refused(cache, name, given, said):
    with pytest.raises(UsageError, match=said):
        folder_of(name, cache_dir=cache, **given)


@pytest.fixture(scope="module")
def drawn_from(pipeline_folder, tmp_path_factory) -> Path:
    """A cache with a text-to-image model in two revisions."""
    root = tmp_path_factory.mktemp("drawing")
    model = root / "models--owner--draws"
    (model / "refs").mkdir(parents=True)
    for branch, commit in (("main", MAIN), ("old", OLD)):
        (model / "refs" / branch).write_text(commit)
        shutil.copytree(pipeline_folder, model / "snapshots" / commit)
    return root


def test_a_text_to_image_model_comes_from_the_named_cache_too(drawn_from):
    for given, commit in (({}, MAIN), ({"revision": "old", "local_files_only": True, "token": False}, OLD)):
        pipeline = load_pipeline("owner/draws", "cpu", cache_dir=drawn_from, **given)
        assert Path(pipeline.config._name_or_path).name == commit
    with pytest.raises(UsageError, match=r"'owner/other'.*leave out local_files_only"):
        load_pipeline("owner/other", "cpu", cache_dir=drawn_from, local_files_only=True)


def test_a_revision_of_a_folder_is_refused(backbone_folder):
    with pytest.raises(UsageError, match="a revision is that of a hub id"):
        folder_of(backbone_folder, revision="main")


class Refusing(BaseHTTPRequestHandler):
    """A hub that knows no model, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("authorization")))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


ASK = """
import sys
from abe_rerank import Reranker, UsageError
told = {"token": "hf_secret"}
for given in (told | {"revision": "v1"}, {"token": False}, told | {"local_files_only": True}):
    try:
        Reranker.from_pretrained("owner/private", cache_dir=sys.argv[1], **given)
    except UsageError as error:
        print(error)
"""


def test_the_token_goes_to_the_hub_and_nowhere_else(tmp_path):
    with HTTPServer(("127.0.0.1", 0), Refusing) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        settings = {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-c", ASK, str(tmp_path)],
            env=os.environ | settings | {"TRANSFORMERS_OFFLINE": "0"},
            capture_output=True,
            text=True,
            check=True,
        )
        hub.shutdown()
    assert len(done.stdout.splitlines()) == 3
    assert "hf_secret" not in done.stdout + done.stderr
    assert "hf_secret" not in repr(Hub(token="hf_secret"))
    asked = [(place, key) for place, key in Refusing.asked if "owner/private" in place]
    assert {key for place, key in asked if "v1" in place} == {"Bearer hf_secret"}
    assert {key for place, key in asked if "v1" not in place} == {None}


# -- bars and logs -----------------------------------------------------------------------------------------------


@pytest.fixture
def switches():
    """Every switch on, and again on afterwards."""

    def on():
        huggingface_hub.utils.enable_progress_bars()
        transformers.utils.logging.enable_progress_bar()
        diffusers.utils.logging.enable_progress_bar()

    on()
    yield
    on()


def bars_of(reranker, capsys):
    images = [Image.fromarray(np.full((16, 16, 3), k, np.uint8)) for k in range(2)]
    capsys.readouterr()
    reranker.rank("a red cube", images, progress=True)
    return "scoring" in capsys.readouterr().err


@pytest.mark.parametrize(
    "off",
    [
        huggingface_hub.utils.disable_progress_bars,
        transformers.utils.logging.disable_progress_bar,
        diffusers.utils.logging.disable_progress_bar,
    ],
)
def test_a_switch_of_a_library_counts_for_our_bars(switches, reranker, capsys, off):
    assert bars_of(reranker, capsys)
    off()
    assert not bars_of(reranker, capsys)


def test_loading_leaves_the_switches_as_they_were(switches, backbone_folder):
    folder_of(backbone_folder)
    assert bars_wanted()
    huggingface_hub.utils.disable_progress_bars()
    with hushed():
        pass
    assert huggingface_hub.utils.are_progress_bars_disabled()
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_the_variable_of_the_environment_counts_for_a_command(tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    words = ["-m", "abe_rerank", "score", str(tmp_path / "a.png"), "--prompt", "a red cube"]
    quiet = os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, env=quiet)
    assert done.stderr == ""
    assert "a.png" in done.stdout


def test_loading_is_logged_and_says_nothing_by_itself(backbone_folder, caplog, capsys, switches):
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("abe_rerank").setLevel(logging.NOTSET)  # as it is until --debug sets it in this process
    folder_of(backbone_folder)
    assert capsys.readouterr() == ("", "")
    assert caplog.text == ""
    with caplog.at_level(logging.INFO, logger="abe_rerank"):
        folder_of(backbone_folder)
    assert f"from {backbone_folder}, on cpu as torch.float32" in caplog.text


# -- model cards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "library", "task"),
    [
        ("clip", "transformers", "zero-shot-image-classification"),
        ("text-to-image", "diffusers", "text-to-image"),
        ("oracle", "abe-rerank", "object-detection"),
    ],
)
def test_the_built_in_models_have_cards_that_the_hub_reads(name, library, task):
    card = huggingface_hub.ModelCard.load(path(name) / "README.md")
    assert card.data.library_name == library
    assert card.data.pipeline_tag == task
    assert card.data.license == "apache-2.0"
    assert "abe-rerank" in card.data.tags
    assert card.text.lstrip().startswith("# ")
