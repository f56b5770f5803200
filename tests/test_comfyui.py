"""The nodes for ComfyUI, called as its executor calls them: by their declared types, in lists, without gradients."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
import torch

from abe_rerank import AbeRerankError, UsageError, __version__
from abe_rerank.images import to_pil
from abe_rerank.integrations import comfyui
from abe_rerank.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from abe_rerank.report.pictures import VEIL

FOLDER = Path(comfyui.__file__).parent
WORKFLOW = FOLDER / "example_workflows" / "pick_best_of_8.json"
PROMPT = "a yellow cube and a red star"
PYTHON_TYPES = {"STRING": str, "INT": int, "FLOAT": float, "IMAGE": torch.Tensor, "LATENT": dict}


def execute(name, **connected):
    """What a node gives, a list for each output, as ComfyUI's executor has it; ``connected`` are lists too.

    Widgets that are not connected have their declared default. An optional input that is not connected is left out.
    """
    kind = NODE_CLASS_MAPPINGS[name]
    declared = kind.INPUT_TYPES()
    known = declared["required"] | declared.get("optional", {})
    assert set(connected) <= set(known)
    values = {}
    for key, (form, *options) in known.items():
        if key in connected:
            values[key] = connected[key]
        elif key in declared["required"]:
            values[key] = [options[0]["default"]]
        if isinstance(form, list) and key in values:
            assert set(values[key]) <= set(form)
    assert all(isinstance(value, list) for value in values.values())
    function, is_list = getattr(kind(), kind.FUNCTION), getattr(kind, "INPUT_IS_LIST", False)
    with torch.inference_mode():
        given = function(**(values if is_list else {key: one[0] for key, one in values.items()}))
    assert isinstance(given, tuple)
    assert len(given) == len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES)
    lists = getattr(kind, "OUTPUT_IS_LIST", (False,) * len(given))
    outputs = [list(value) if listed else [value] for value, listed in zip(given, lists, strict=True)]
    for form, items in zip(kind.RETURN_TYPES, outputs, strict=True):
        assert all(item is None or isinstance(item, PYTHON_TYPES.get(form, object)) for item in items)
        if form == "IMAGE":
            assert all(item.ndim == 4 and item.min() >= 0 and item.max() <= 1 for item in items)
    return dict(zip(kind.RETURN_NAMES, outputs, strict=True))


@pytest.fixture(scope="module")
def loaded(backbone_folder):
    return execute("AbeLoadBackbone", backbone=[str(backbone_folder)], device=["cpu"])["reranker"]


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def expected(reranker, images):
    """Scores one by one, each picture by the way that files take."""
    return [reranker.explain(to_pil(image.numpy()), PROMPT).value for image in images]


def order_of(values):
    return sorted(range(len(values)), key=lambda k: -values[k])


def test_the_nodes_declare_what_the_interface_asks_for():
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    assert list(NODE_DISPLAY_NAME_MAPPINGS.values()) == ["ABE Load Backbone", "ABE Score", "ABE Pick Best"]
    for kind in NODE_CLASS_MAPPINGS.values():
        assert callable(getattr(kind, kind.FUNCTION))
        assert kind.CATEGORY
        assert kind.DESCRIPTION
        for group in kind.INPUT_TYPES().values():
            for form, options in group.values():
                assert isinstance(form, (str, list))
                assert isinstance(options, dict)


def test_a_folder_among_the_custom_nodes_is_enough_and_costs_nothing_to_import(tmp_path):
    """ComfyUI imports the file __init__.py of a folder under a name of its own."""
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('custom.abe', {str(FOLDER / '__init__.py')!r}, "
        f"submodule_search_locations=[{str(FOLDER)!r}])\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['custom.abe'] = module\n"
        "spec.loader.exec_module(module)\n"
        "print(len([kind.INPUT_TYPES() for kind in module.NODE_CLASS_MAPPINGS.values()]))\n"
        "print(sorted({'torch', 'transformers', 'diffusers', 'numpy', 'spacy', 'PIL'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["3", "[]"]


def test_what_the_registry_asks_for_is_there():
    told = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert told["project"]["version"] == __version__
    assert told["project"]["license"] == {"text": "Apache-2.0"}
    assert told["tool"]["comfy"]["DisplayName"] == "ABE rerank"


def test_scores_are_those_of_the_pictures_one_by_one(loaded):
    batch = noise(5, 16, 16, 3)
    found = execute("AbeScore", reranker=loaded, images=[batch], prompt=[PROMPT])
    np.testing.assert_allclose(found["scores"], expected(loaded[0], batch), atol=1e-5)
    assert len(found["verdicts"]) == 5
    for k, (text, score) in enumerate(zip(found["verdicts"], found["scores"], strict=True)):
        assert text.splitlines()[0].startswith(f"image {k}: {score:+.3f}, ")
        assert len(text.splitlines()) == 3
    (maps,) = found["heat_maps"]
    assert maps.shape == (5 * 4, 16, 16, 3)  # two objects and two attributes
    lit, dark = batch.repeat_interleave(4, dim=0), torch.tensor(VEIL) / 255
    assert (maps <= torch.maximum(lit, dark) + 0.005).all()
    assert (maps >= torch.minimum(lit, dark) - 0.005).all()


def test_the_best_come_out_in_order_with_their_latents(loaded):
    batch = noise(6, 16, 16, 3, seed=1)
    latents = {"samples": noise(6, 4, 2, 2), "noise_mask": noise(6, 16, 16), "batch_index": [4, 5, 6, 7, 8, 9]}
    order = order_of(expected(loaded[0], batch))[:3]
    found = execute("AbePickBest", reranker=loaded, images=[batch], prompt=[PROMPT], k=[3], latents=[latents])
    assert found["indices"] == order
    assert torch.equal(found["images"][0], batch[order])
    (taken,) = found["latents"]
    assert torch.equal(taken["samples"], latents["samples"][order])
    assert torch.equal(taken["noise_mask"], latents["noise_mask"][order])
    assert taken["batch_index"] == [latents["batch_index"][k] for k in order]
    assert latents["batch_index"] == [4, 5, 6, 7, 8, 9]
    (report,) = found["report"]
    assert report.shape[0] == 1
    assert report.shape[3] == 3


def test_latents_without_numbers_get_their_places_and_one_mask_stays_one_for_all(loaded):
    batch = noise(4, 16, 16, 3, seed=2)
    order = order_of(expected(loaded[0], batch))[:2]
    mask = noise(1, 16, 16)
    latents = {"samples": noise(4, 16, 1, 2, 2), "noise_mask": mask, "type": "audio"}
    found = execute("AbePickBest", reranker=loaded, images=[batch], prompt=[PROMPT], k=[2], latents=[latents])
    (taken,) = found["latents"]
    assert taken["batch_index"] == order
    assert torch.equal(taken["samples"], latents["samples"][order])
    assert torch.equal(taken["noise_mask"], mask.expand(2, 16, 16))
    assert taken["type"] == "audio"


def test_without_latents_there_are_none(loaded):
    found = execute("AbePickBest", reranker=loaded, images=[noise(2, 16, 16, 3)], prompt=[PROMPT], k=[1])
    assert found["latents"] == [None]
    assert found["images"][0].shape == (1, 16, 16, 3)


def test_pictures_of_several_sizes_come_as_a_list_and_go_as_one(loaded):
    images = [noise(2, 16, 16, 3), noise(1, 24, 16, 3, seed=1), noise(1, 32, 48, 4, seed=2)]
    latents = [{"samples": noise(2, 4, 2, 2)}, {"samples": noise(1, 4, 3, 2)}, {"samples": noise(1, 4, 4, 6)}]
    alone = [one for batch in images for one in batch]
    order = order_of(expected(loaded[0], alone))
    found = execute("AbePickBest", reranker=loaded, images=images, prompt=[PROMPT], k=[4], latents=latents)
    assert found["indices"] == order
    own = [one for latent in latents for one in latent["samples"]]
    for index, image, latent in zip(order, found["images"], found["latents"], strict=True):
        assert torch.equal(image[0], alone[index])
        assert torch.equal(latent["samples"][0], own[index])
    scored = execute("AbeScore", reranker=loaded, images=images, prompt=[PROMPT])
    np.testing.assert_allclose(scored["scores"], expected(loaded[0], alone), atol=1e-5)
    assert [tuple(heat.shape[1:3]) for heat in scored["heat_maps"][::4]] == [tuple(one.shape[:2]) for one in alone]


def test_transparent_pictures_are_read_on_white_and_given_back_as_they_came(loaded):
    clear = noise(2, 16, 16, 4, seed=3)
    on_white = clear[..., :3] * clear[..., 3:] + 1 - clear[..., 3:]
    found = execute("AbeScore", reranker=loaded, images=[clear], prompt=[PROMPT])["scores"]
    white = execute("AbeScore", reranker=loaded, images=[on_white], prompt=[PROMPT])["scores"]
    np.testing.assert_allclose(found, white, atol=0.02)  # grey levels are rounded in another order
    picked = execute("AbePickBest", reranker=loaded, images=[clear], prompt=[PROMPT], k=[2])
    assert torch.equal(picked["images"][0], clear[picked["indices"]])


def test_half_precision_and_a_little_overshoot_are_pictures(loaded):
    batch = noise(2, 16, 16, 3)
    half = execute("AbeScore", reranker=loaded, images=[batch.half()], prompt=[PROMPT])["scores"]
    np.testing.assert_allclose(half, expected(loaded[0], batch), atol=0.02)
    over = batch * 1.2 - 0.1
    found = execute("AbeScore", reranker=loaded, images=[over], prompt=[PROMPT])["scores"]
    np.testing.assert_allclose(found, expected(loaded[0], over.clamp(0, 1)), atol=1e-5)


def test_a_broken_picture_is_unscored_and_never_picked(loaded):
    batch = noise(3, 16, 16, 3)
    batch[0, 3, 3, 0] = math.nan
    batch[2] = 0.0
    scored = execute("AbeScore", reranker=loaded, images=[batch], prompt=[PROMPT])
    assert [math.isnan(score) for score in scored["scores"]] == [True, False, True]
    assert "it holds NaN or infinity" in scored["verdicts"][0]
    assert "#000000 all over" in scored["verdicts"][2]
    assert scored["heat_maps"][0].shape[0] == 1 + 4 + 1
    assert execute("AbePickBest", reranker=loaded, images=[batch], prompt=[PROMPT])["indices"] == [1]
    with pytest.raises(AbeRerankError, match=r"of 3 pictures 1 of the best 2 could not be scored \(image 0: it holds"):
        execute("AbePickBest", reranker=loaded, images=[batch], prompt=[PROMPT], k=[2])
    with pytest.raises(AbeRerankError, match="none of 1 pictures could be scored"):
        execute("AbePickBest", reranker=loaded, images=[batch[:1]], prompt=[PROMPT])


BATCH = noise(2, 16, 16, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompt": [" "]}, "the prompt is empty"),
        ({"prompt": ["a red cube", "a blue cube"]}, "prompt is a list of 2; connect one"),
        ({"k": [3]}, "k is 3, and there are 2 pictures; choose from 1 to 2"),
        ({"images": [BATCH[0]]}, r"images holds a tensor \[16, 16, 3\]"),
        ({"images": [BATCH.permute(0, 3, 1, 2)]}, r"images holds a tensor \[2, 3, 16, 16\]"),
        ({"images": [(BATCH * 255).to(torch.uint8)]}, "of torch.uint8"),
        ({"images": [BATCH * 255]}, "image 0 holds values from"),
        ({"images": [BATCH[:0]]}, "images holds no picture"),
        ({"images": ["a.png"]}, "images holds a str; connect an IMAGE output"),
        ({"latents": [{"samples": noise(3, 4, 2, 2)}]}, "2 pictures and 3 latents"),
        ({"latents": [{"waveform": noise(3, 4, 2, 2)}]}, "latents holds no samples"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_one_line(loaded, given, said):
    with pytest.raises(UsageError, match=said) as refused:
        execute("AbePickBest", **{"reranker": loaded, "images": [BATCH], "prompt": [PROMPT]} | given)
    assert "\n" not in str(refused.value)


def test_a_backbone_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no backbone called 'no/such model'"):
        execute("AbeLoadBackbone", backbone=["no/such model"])


def widgets(form):
    """Whether an input is a widget, which has a value in the workflow file whether it is connected or not."""
    return isinstance(form, list) or form in ("STRING", "INT", "FLOAT", "BOOLEAN")


def test_the_workflow_file_fits_the_nodes_and_runs(loaded):
    """Its links are whole and typed as declared; from the decoded pictures on it is run in its own order."""
    flow = json.loads(WORKFLOW.read_text())
    nodes = {node["id"]: node for node in flow["nodes"]}
    assert flow["last_node_id"] == max(nodes)
    into = {}
    for number, source, slot, target, place, form in flow["links"]:
        assert nodes[source]["outputs"][slot]["type"] == nodes[target]["inputs"][place]["type"] == form
        assert number in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][place]["link"] == number
        into.setdefault(target, []).append((nodes[target]["inputs"][place]["name"], source, slot))

    def value_of(node):
        declared = NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()
        known = declared["required"] | declared.get("optional", {})
        named = [name for name, (form, *_) in known.items() if widgets(form)]
        values = {name: [value] for name, value in zip(named, node["widgets_values"], strict=True)}
        for name, source, slot in into.get(node["id"], []):
            form = known[name][0]
            assert nodes[source]["outputs"][slot]["type"] == form
            values[name] = outputs[source][slot]
        if node["type"] == "AbeLoadBackbone":
            return [loaded]
        assert [o["name"] for o in node["outputs"]] == list(NODE_CLASS_MAPPINGS[node["type"]].RETURN_NAMES)
        return list(execute(node["type"], **values).values())

    images, latents = noise(8, 16, 16, 3), {"samples": noise(8, 4, 2, 2)}
    drawn = {"PrimitiveStringMultiline": [[PROMPT]], "KSampler": [[latents]], "VAEDecode": [[images]]}
    outputs = {}
    for number in TopologicalSorter({n: [s for _, s, _ in into.get(n, [])] for n in nodes}).static_order():
        kind = nodes[number]["type"]
        outputs[number] = value_of(nodes[number]) if kind in NODE_CLASS_MAPPINGS else drawn.get(kind, [])
    picked = next(outputs[n] for n in nodes if nodes[n]["type"] == "AbePickBest")
    assert torch.equal(picked[0][0], images[picked[2]])
    assert len(picked[2]) == 2
