"""Models load whole or not at all: real folders with one thing wrong in each, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import word_tokenizer
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, save_tiny
from tiny_pipelines import PIPELINES, save_tiny_pipeline

from abe_rerank.backbones import Backbone, load_backbone
from abe_rerank.backbones.hub import split_revision
from abe_rerank.drawing.pipelines import load_pipeline, modules
from abe_rerank.drawing.sampling import Sampling, call_arguments, draw, settle
from abe_rerank.errors import AbeRerankError, UsageError
from abe_rerank.shapes.oracle import Oracle

NOT_TO_RELAY = re.compile("above|meta tensor|trust_remote_code|weights_only|stacktrace|unexpected", re.IGNORECASE)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("CLIPModel", tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module", params=PIPELINES)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipelines") / request.param
    save_tiny_pipeline(request.param, word_tokenizer(folder.parent / "raw"), folder)
    return folder


def changed(folder: Path, target: Path, change: Callable[[Path], object]) -> Path:
    """A copy of a model's folder with one change."""
    shutil.copytree(folder, target)
    change(target)
    return target


def with_weights(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def with_json(file: Path, **entries: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def refused(load: Callable[..., object], folder: object, *words: str, **options: object) -> None:
    """It is refused in one line that holds the words and none of what the libraries would say."""
    with pytest.raises(AbeRerankError) as caught:
        load(folder, device="cpu", **options)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert not NOT_TO_RELAY.search(message), message


def assert_same_weights(one: Backbone, other: Backbone) -> None:
    expected = other.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in one.model.state_dict().items())


# -- backbones ---------------------------------------------------------------------------------------------------


def some_tensor(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name in sorted(tensors) if name.startswith("vision_model.encoder") and name.endswith("weight"))


def test_a_tensor_that_is_missing_unexpected_or_misshapen_is_named(family: Path, tmp_path: Path) -> None:
    name = some_tensor(load_file(family / "model.safetensors"))
    tail = ".".join(name.split(".")[-3:])  # transformers calls some layers by other names than the file
    changes: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
        f"missing: |{tail}": lambda tensors: tensors.pop(name),
        "not in the model: other.weight": lambda tensors: tensors.update({"other.weight": torch.zeros(2)}),
        f"{tail} has the shape 3x5": lambda tensors: tensors.update({name: torch.zeros(3, 5)}),
        f"NaN or infinity in |{tail}": lambda tensors: tensors[name].view(-1)[0].fill_(float("nan")),
        f"infinity in |{tail} (as float32)": lambda tensors: tensors[name].view(-1)[-1].fill_(float("-inf")),
    }
    for k, (words, change) in enumerate(changes.items()):
        folder = changed(family, tmp_path / str(k), lambda f, c=change: with_weights(f / "model.safetensors", c))
        refused(load_backbone, folder, *words.split("|"))


def test_buffers_that_older_versions_saved_are_no_harm(family: Path, tmp_path: Path) -> None:
    def add(tensors: dict[str, torch.Tensor]) -> None:
        for part in ("text_model", "vision_model"):
            tensors[f"{part}.embeddings.position_ids"] = torch.arange(16)[None]

    folder = changed(family, tmp_path / "old", lambda f: with_weights(f / "model.safetensors", add))
    assert_same_weights(load_backbone(folder, device="cpu"), load_backbone(family, device="cpu"))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_code_of_a_models_own_is_named_and_not_asked_about(clip: Path, tmp_path: Path, file: str) -> None:
    folder = changed(clip, tmp_path / "own", lambda f: with_json(f / file, auto_map={"AutoModel": "evil.Model"}))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    refused(load_backbone, folder, file, "evil.Model")
    assert not (tmp_path / "run").exists()


def reword(file: Path, **ids: int) -> None:
    """Give words of a tokenizer other numbers."""
    found = json.loads(file.read_text())
    found["model"]["vocab"].update(ids)
    file.write_text(json.dumps(found))


PROCESSOR = "preprocessor_config.json"
DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), ("config.json", "list")),
    "config is deep": (lambda f: (f / "config.json").write_text('{"a":' + "[" * 100_000), ("config.json",)),
    "config is cut": (lambda f: (f / "config.json").write_text('{"a'), ("config.json", "not JSON")),
    "weights are cut": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), ("safetensors", "damaged")),
    "weights are missing": (lambda f: (f / "model.safetensors").unlink(), ("holds no weights",)),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ("holds no tokenizer",)),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), ("tokenizer", "damaged")),
    "no processor": (lambda f: (f / "preprocessor_config.json").unlink(), ("preprocessor_config.json",)),
    "unknown type": (lambda f: with_json(f / "config.json", model_type="nonsense"), ("'nonsense'",)),
    "no type": (lambda f: with_json(f / "config.json", model_type=None), ("no model_type",)),
    "another type": (lambda f: with_json(f / "config.json", model_type="bert"), ("BertModel", "supported")),
    "other sizes": (lambda f: with_json(f / "config.json", vision_config={}), ("missing: vision_model",)),
    "words for sizes": (lambda f: with_json(f / "config.json", vision_config={"hidden_size": "a"}), ("hidden_size",)),
    "a mean of one colour": (lambda f: with_json(f / PROCESSOR, image_mean=[1]), ("mean must have 3",)),
    "nothing to divide by": (lambda f: with_json(f / PROCESSOR, image_std=[0, 0, 0]), ("NaN or infinite",)),
    "pictures too large": (lambda f: with_json(f / PROCESSOR, size={"shortest_edge": 10**5}), ("100000 pixels",)),
    "a crop below 0": (lambda f: with_json(f / PROCESSOR, crop_size={"height": -3, "width": 3}), ("-3 pixels",)),
    "no padding": (lambda f: with_json(f / "tokenizer_config.json", pad_token=None), ("padding",)),
    "no room for words": (lambda f: with_json(f / "tokenizer_config.json", model_max_length=0), ("model_max_length",)),
    "more words than the model has": (lambda f: reword(f / "tokenizer.json", red=999), ("words that its model lacks",)),
    "an adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), ("adapter",)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line(clip: Path, tmp_path: Path, damage: str) -> None:
    change, words = DAMAGES[damage]
    refused(load_backbone, changed(clip, tmp_path / "model", change), *words)


def test_pickle_is_read_only_where_it_is_allowed(clip: Path, tmp_path: Path) -> None:
    def pickle(folder: Path) -> None:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

    folder = changed(clip, tmp_path / "pickled", pickle)
    refused(load_backbone, folder, "pytorch_model.bin", "--allow-pickle")
    allowed = load_backbone(folder, device="cpu", allow_pickle=True)
    assert_same_weights(allowed, load_backbone(clip, device="cpu"))


class Hostile:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.file}",)


def test_a_hostile_pickle_is_not_run_and_no_advice_of_its_error_is_passed_on(clip: Path, tmp_path: Path) -> None:
    def poison(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save({"weight": Hostile(tmp_path / "run")}, folder / "pytorch_model.bin")

    folder = changed(clip, tmp_path / "hostile", poison)
    refused(load_backbone, folder, "more than weights", allow_pickle=True)
    (folder / "pytorch_model.bin").write_bytes(b"broken")
    refused(load_backbone, folder, "damaged", allow_pickle=True)
    assert not (tmp_path / "run").exists()


def test_shards_are_read_and_checked(clip: Path, tmp_path: Path) -> None:
    import transformers

    model = transformers.CLIPModel.from_pretrained(clip)
    folder = changed(clip, tmp_path / "shards", lambda f: (f / "model.safetensors").unlink())
    model.save_pretrained(folder, max_shard_size="40KB")
    index = folder / "model.safetensors.index.json"
    assert index.is_file()
    assert_same_weights(load_backbone(folder, device="cpu"), load_backbone(clip, device="cpu"))
    shards = json.loads(index.read_text())["weight_map"]
    name, file = next(iter(shards.items()))
    with_json(index, weight_map=shards | {name: f"../shards/{file}"})
    refused(load_backbone, folder, "outside of its folder")
    with_json(index, weight_map=[])
    refused(load_backbone, folder, "weight_map")
    with_json(index, weight_map=shards)
    (folder / file).unlink()
    refused(load_backbone, folder, file, "not there")


def test_variants_are_read_by_name_or_where_they_are_the_only_ones(clip: Path, tmp_path: Path) -> None:
    def rename(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")

    folder = changed(clip, tmp_path / "variant", rename)
    for variant in (None, "fp16"):
        assert load_backbone(folder, device="cpu", variant=variant).dtype == torch.float32
    refused(load_backbone, folder, "'bf16'", "there: fp16", variant="bf16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_the_whole_model(clip: Path, dtype: str) -> None:
    backbone = load_backbone(clip, device="cpu", dtype=dtype)
    assert {p.dtype for p in backbone.model.parameters()} == {getattr(torch, dtype)}


# -- hub names ---------------------------------------------------------------------------------------------------


def test_a_name_is_parted_from_its_revision() -> None:
    assert split_revision("owner/name") == ("owner/name", None)
    assert split_revision("owner/name@v1.0") == ("owner/name", "v1.0")
    assert split_revision("owner/name@refs/pr/3") == ("owner/name", "refs/pr/3")
    assert split_revision("name") == ("name", None)
    assert all(split_revision(name) is None for name in ("/a/b", "a/b/c", "a b", "owner/name@", "", "../x"))


def cached(folder: Path, cache: Path, name: str, **revisions: str) -> None:
    """Lay a model's folder out as huggingface_hub's cache does."""
    root = cache / f"models--{name.replace('/', '--')}"
    for revision, commit in revisions.items():
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / revision).write_text(commit)
        shutil.copytree(folder, root / "snapshots" / commit)


def test_hub_names_and_revisions_come_from_the_local_cache(
    clip: Path, pipeline_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, file_download

    for module in (constants, file_download.constants):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path))
    cached(clip, tmp_path, "owner/clip", main="a" * 40, old="b" * 40)
    cached(pipeline_folder, tmp_path, "owner/drawer", main="c" * 40)
    assert load_backbone("owner/clip", device="cpu").folder.name == "a" * 40
    assert load_backbone("owner/clip@old", device="cpu").folder.name == "b" * 40
    assert load_backbone(f"owner/clip@{'b' * 40}", device="cpu").folder.name == "b" * 40
    refused(load_backbone, "owner/clip@new", "owner/clip@new")
    assert load_pipeline("owner/drawer", device="cpu").dtype == torch.float32
    refused(load_pipeline, "owner/drawer@old", "owner/drawer@old", "cannot be reached")


SILENT_HUB = """
import sys, time
from abe_rerank.backbones import Backbone, load_backbone
from abe_rerank.drawing.pipelines import load_pipeline
import diffusers, transformers
from diffusers import DiffusionPipeline
from transformers import PreTrainedModel
for load in (load_backbone, load_pipeline):
    start = time.perf_counter()
    try:
        load("owner/no-such-model", device="cpu")
    except Exception as error:
        print(type(error).__name__, time.perf_counter() - start)
"""


def test_a_hub_that_does_not_answer_is_given_up_soon(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls and never says a word
        hub = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        command = [sys.executable, "-c", SILENT_HUB]
        said = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings, check=True)
    lines = [line.split() for line in said.stdout.splitlines()]
    assert [name for name, _ in lines] == ["UsageError", "UsageError"], said.stdout
    assert all(float(seconds) < 4 for _, seconds in lines), said.stdout  # 2 are the hub's


# -- pipelines ---------------------------------------------------------------------------------------------------


def test_networks_are_those_that_diffusers_itself_loads(tiny: Path) -> None:
    import diffusers

    nulls = {
        name: None
        for name, entry in json.loads((tiny / "model_index.json").read_text()).items()
        if entry == [None, None] and name.startswith(("text_encoder", "tokenizer"))
    }
    ours = load_pipeline(tiny, device="cpu")
    theirs = diffusers.DiffusionPipeline.from_pretrained(tiny, **nulls)
    assert {name for name, part in ours.components.items() if part is None} == {
        name for name, part in theirs.components.items() if part is None
    }
    for name, network in modules(ours).items():
        expected = getattr(theirs, name).state_dict()
        assert not network.training
        assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())


def test_a_tensor_of_any_part_that_is_missing_unexpected_misshapen_or_nan_is_named(tiny: Path, tmp_path: Path) -> None:
    for file in sorted(tiny.glob("*/*.safetensors")):
        part, before = file.parent.name, file.read_bytes()
        name = sorted(load_file(file))[0]
        for words, change in (
            (f"missing: {name}", lambda tensors, n=name: tensors.pop(n)),
            ("not in the model: other.weight", lambda tensors: tensors.update({"other.weight": torch.zeros(2)})),
            (f"{name} has the shape 3x5x7", lambda tensors, n=name: tensors.update({n: torch.zeros(3, 5, 7)})),
            ("NaN or infinity", lambda tensors, n=name: tensors[n].view(-1)[0].fill_(float("nan"))),
        ):
            with_weights(file, change)
            refused(load_pipeline, tiny, words, part)
            file.write_bytes(before)


def test_null_parts_draw(tmp_path: Path) -> None:
    save_tiny_pipeline("StableDiffusion3", word_tokenizer(tmp_path / "raw"), tmp_path / "sd3")
    pipeline = load_pipeline(tmp_path / "sd3", device="cpu")
    assert pipeline.components["text_encoder_3"] is None
    assert len(draw(pipeline, "a red cube", settle(pipeline, Sampling(n=1, steps=1))).images) == 1


PIPELINE_DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "index is a list": (lambda f: (f / "model_index.json").write_text("[]"), ("model_index.json", "list")),
    "index is no JSON": (lambda f: (f / "model_index.json").write_text("{"), ("model_index.json", "not JSON")),
    "own pipeline": (
        lambda f: with_json(f / "model_index.json", _class_name=["evil", "Pipeline"]),
        ("_class_name", "code of its own"),
    ),
    "unknown pipeline": (lambda f: with_json(f / "model_index.json", _class_name="No"), ("class No", "diffusers")),
    "own part": (lambda f: with_json(f / "model_index.json", unet=["evil", "Net"]), ("unet is evil.Net",)),
    "unknown part": (lambda f: with_json(f / "model_index.json", unet=["diffusers", "No"]), ("unet is diffusers.No",)),
    "a pipeline as a part": (
        lambda f: with_json(f / "model_index.json", unet=["diffusers", "StableDiffusionPipeline"]),
        ("unet is diffusers.StableDiffusionPipeline",),
    ),
    "an unknown class of transformers": (
        lambda f: with_json(f / "model_index.json", text_encoder=["transformers", "No"]),
        ("No",),
    ),
    "odd part": (lambda f: with_json(f / "model_index.json", unet=[1, 2, 3]), ("unet must be",)),
    "part outside": (lambda f: with_json(f / "model_index.json", **{"../x": ["diffusers", "No"]}), ("../x",)),
    "part missing": (lambda f: shutil.rmtree(f / "vae"), ("vae",)),
    "own code in a part": (
        lambda f: with_json(f / "text_encoder" / "config.json", auto_map={"AutoModel": "evil.Model"}),
        ("evil.Model", "text_encoder"),
    ),
    "no tokenizer": (lambda f: [p.unlink() for p in (f / "tokenizer").glob("tokenizer.json")], ("no tokenizer",)),
    "no weights": (lambda f: [p.unlink() for p in (f / "unet").glob("*.safetensors")], ("unet", "no weights")),
    "part config is a list": (lambda f: (f / "unet" / "config.json").write_text("[]"), ("unet", "list")),
}


@pytest.mark.parametrize("damage", PIPELINE_DAMAGES)
def test_a_damaged_pipeline_is_refused_in_one_line(pipeline_folder: Path, tmp_path: Path, damage: str) -> None:
    change, words = PIPELINE_DAMAGES[damage]
    refused(load_pipeline, changed(pipeline_folder, tmp_path / "model", change), *words)


def test_a_part_by_the_name_that_older_libraries_gave_it(pipeline_folder: Path, tmp_path: Path) -> None:
    def rename(folder: Path) -> None:
        with_json(folder / "model_index.json", feature_extractor=["transformers", "CLIPFeatureExtractor"])
        (folder / "feature_extractor").mkdir()
        settings = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 16, "crop_size": 16}
        (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(settings))

    pipeline = load_pipeline(changed(pipeline_folder, tmp_path / "model", rename), device="cpu")
    assert "CLIPImageProcessor" in type(pipeline.components["feature_extractor"]).__name__


def test_pickle_in_a_part_is_read_only_where_it_is_allowed(pipeline_folder: Path, tmp_path: Path) -> None:
    def pickle(folder: Path) -> None:
        file = folder / "unet" / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()

    folder = changed(pipeline_folder, tmp_path / "model", pickle)
    refused(load_pipeline, folder, "unet", "--allow-pickle")
    expected = modules(load_pipeline(pipeline_folder, device="cpu"))["unet"].state_dict()
    allowed = modules(load_pipeline(folder, device="cpu", allow_pickle=True))["unet"].state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in allowed.items())
    torch.save({"weight": Hostile(tmp_path / "run")}, folder / "unet" / "diffusion_pytorch_model.bin")
    refused(load_pipeline, folder, "unet", allow_pickle=True)
    assert not (tmp_path / "run").exists()


def test_variants_of_a_pipeline(pipeline_folder: Path, tmp_path: Path) -> None:
    def rename(folder: Path) -> None:
        for file in folder.glob("*/*.safetensors"):
            file.rename(file.with_name(f"{file.stem}.fp16.safetensors"))

    folder = changed(pipeline_folder, tmp_path / "model", rename)
    for variant in (None, "fp16"):
        assert load_pipeline(folder, device="cpu", variant=variant).dtype == torch.float32
    assert load_pipeline(folder, device="cpu", dtype="bfloat16").dtype == torch.bfloat16
    refused(load_pipeline, folder, "'bf16'", variant="bf16")


def test_a_folder_of_the_other_kind_says_so(clip: Path, pipeline_folder: Path) -> None:
    refused(load_pipeline, clip, "--backbone")
    refused(load_backbone, pipeline_folder, "--model")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "list"),
        ("{", "not JSON"),
        ('{"sharpness": 3}', "does not take sharpness"),
        ('{"prompt": "a"}', "does not take prompt"),
        ('{"num_inference_steps": "many"}', "whole number"),
        ('{"num_inference_steps": 0}', "whole number"),
        ('{"num_inference_steps": 99999999999}', "from 1 to 10000, not 99999999999"),
        ('{"height": 10000000}', "from 1 to 8192, not 10000000"),
        ('{"guidance_scale": NaN}', "finite"),
        ('{"guidance_scale": true}', "finite"),
    ],
)
def test_a_broken_sampling_file_names_what_is_wrong(
    pipeline_folder: Path, tmp_path: Path, text: str, words: str
) -> None:
    folder = changed(pipeline_folder, tmp_path / "model", lambda f: (f / "sampling.json").write_text(text))
    with pytest.raises(UsageError, match=rf"sampling\.json.*{words}"):
        call_arguments(load_pipeline(folder, device="cpu"), Sampling())


# -- the oracle --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["[]", "{}", '{"channels": 3, "blocks": [1], "threshold": 0.5, "apart": 1}', "{"])
def test_a_damaged_oracle_is_named(tmp_path: Path, config: str) -> None:
    from abe_rerank import builtin

    folder = changed(builtin.path("oracle"), tmp_path / "oracle", lambda f: (f / "config.json").write_text(config))
    with pytest.raises(AbeRerankError, match="oracle"):
        Oracle.load(folder=folder)


def test_an_oracle_with_nan_is_refused(tmp_path: Path) -> None:
    from abe_rerank import builtin

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        next(iter(tensors.values())).view(-1)[0] = float("nan")

    folder = changed(
        builtin.path("oracle"), tmp_path / "oracle", lambda f: with_weights(f / "model.safetensors", spoil)
    )
    with pytest.raises(AbeRerankError, match="NaN"):
        Oracle.load(folder=folder)


def test_a_run_records_that_pickle_was_allowed(
    cli, pipeline_folder: Path, backbone_folder: Path, tmp_path: Path
) -> None:
    def pickle(folder: Path) -> None:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

    pickled = changed(backbone_folder, tmp_path / "pickled", pickle)
    models = ["--model", pipeline_folder, "--backbone", pickled, "--steps", "1", "-n", "1"]
    code, _, err = cli("generate", "a red cube", *models, "--out", tmp_path / "refused")
    assert code == 2
    assert "--allow-pickle" in err
    code, _, err = cli("generate", "a red cube", *models, "--out", tmp_path / "run", "--allow-pickle")
    assert code == 0, err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["settings"]["allow_pickle"] is True
    assert all("--allow-pickle" in command for command in report["commands"].values())
    code, _, err = cli(
        "evaluate",
        "--images",
        tmp_path / "run" / "candidates",
        "--backbone",
        pickled,
        "--allow-pickle",
        "--out",
        tmp_path / "evaluated",
    )
    assert code == 0, err
    assert "--allow-pickle" in json.loads((tmp_path / "evaluated" / "run.json").read_text())["command"]


def test_every_command_that_loads_a_backbone_can_allow_pickle(cli, backbone_folder: Path, tmp_path: Path) -> None:
    def pickle(folder: Path) -> None:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

    pickled = changed(backbone_folder, tmp_path / "pickled", pickle)
    for command in (["tune"], ["tune", "--scenes", "1"], ["benchmark", "binding"], ["benchmark", "backbone"]):
        code, _, err = cli(*command, "--backbone", pickled)
        assert (code, "--allow-pickle" in err) == (2, True), err
    code, _, err = cli("tune", "--scenes", "2", "--backbone", pickled, "--allow-pickle")
    assert code == 0, err
    code, _, err = cli("benchmark", "backbone", "--scenes", "2", "--backbone", pickled, "--allow-pickle")
    assert code == 0, err


def test_the_clip_inside_a_clipseg_checkpoint_is_read_without_its_decoder(tmp_path: Path) -> None:
    folder = save_tiny("CLIPSegModel", tmp_path / "clip")
    clip = load_backbone(folder, device="cpu")
    import transformers

    segmenting = transformers.CLIPSegForImageSegmentation(clip.model.config)
    segmenting.clip.load_state_dict(clip.model.state_dict())
    shutil.copytree(folder, tmp_path / "whole")
    segmenting.save_pretrained(tmp_path / "whole")
    whole = load_backbone(tmp_path / "whole", device="cpu")
    torch.testing.assert_close(whole.encode_texts(["a red cube"]), clip.encode_texts(["a red cube"]))
    state = load_file(tmp_path / "whole" / "model.safetensors")
    save_file({**state, "adapter.weight": torch.zeros(2)}, tmp_path / "whole" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"adapter\.weight"):
        load_backbone(tmp_path / "whole", device="cpu")
