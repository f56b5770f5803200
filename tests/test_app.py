"""The work behind the page of ``abe-rerank app``: drawing, stopping, going on, scoring, past runs, and who may ask."""

from __future__ import annotations

import json
import os
import shlex
from base64 import b64encode
from dataclasses import replace

import pytest
from PIL import Image

from abe_rerank.cli.app import app as command_line
from abe_rerank.errors import UsageError
from abe_rerank.integrations.app import shelf, stage
from abe_rerank.integrations.app.desk import Desk
from abe_rerank.integrations.app.guard import Guard
from abe_rerank.integrations.app.orders import Models, Order, order_of
from abe_rerank.integrations.app.routes import seen
from abe_rerank.integrations.app.server import Place
from abe_rerank.integrations.app.works import save
from abe_rerank.runs.generated import read_generated

PROMPT = "a red cube and a small blue sphere"


@pytest.fixture(scope="module")
def models(pipeline_folder, backbone_folder):
    return Models(str(pipeline_folder), str(backbone_folder), device="cpu")


@pytest.fixture
def desk(tmp_path, models):
    made = Desk(tmp_path / "runs", models)
    made.open()
    yield made
    made.close()


def until(desk, holds):
    """Wait until something holds of the desk."""
    with desk._changed:
        assert desk._changed.wait_for(holds, timeout=120)


def finished(desk, key):
    until(desk, lambda: not desk.find(key).busy)
    until(desk, lambda: desk.at_work is None)
    return desk.find(key)


def read_by_click(command):
    """The parameters of a command line, as the command would be called."""
    from typer.main import get_command

    words = shlex.split(command)
    assert words[0] == "abe-rerank"
    context = get_command(command_line).commands[words[1]].make_context(words[1], words[2:])
    return context.params


def scores_of(folder):
    report, _ = read_generated(folder)
    return {c.seed: (c.rank, c.pixels_sha256, c.score.value) for c in report.candidates}


def test_a_drawing_is_a_run_folder_with_what_the_python_api_gives(desk, models, reranker, pipeline, cli):
    work = finished(desk, desk.draw(Order(PROMPT, models, n=3, seed=5, steps=2)))
    assert (work.state, work.error) == ("done", None)
    ranking = reranker.generate(pipeline, PROMPT, 3, 5, batch_size=1, num_inference_steps=2)
    report, images = read_generated(desk.root / work.key)
    assert [c.seed for c in report.candidates] == [c.seed for c in ranking.candidates]
    assert [c.score.value for c in report.candidates] == [c.score.value for c in ranking.candidates]
    assert [image.tobytes() for image in images] == [c.image.tobytes() for c in ranking.candidates]
    assert report.settings["n"] == 3
    code, out, _ = cli("show", desk.root / work.key, "--plain")
    assert code == 0
    assert f"picked seed {ranking.best.seed}" in out
    assert (desk.root / work.key / "report.html").is_file()


TALL = Order("--a red cube", n=2, seed=7, steps=1, guidance=-1.5, negative_prompt="a star")


def test_the_commands_of_a_run_ask_for_the_same(desk, models):
    work = finished(
        desk, desk.draw(Order("--a red cube", models, 2, 7, steps=1, guidance=-1.5, negative_prompt="a star"))
    )
    asked = read_by_click(work.report.commands.run)
    assert {name: asked[name] for name in ("prompt", "n", "seed", "steps", "guidance", "negative_prompt")} == {
        "prompt": "--a red cube",
        "n": 2,
        "seed": 7,
        "steps": 1,
        "guidance": -1.5,
        "negative_prompt": "a star",
    }
    assert (asked["model"], asked["backbone"], asked["batch_size"]) == (models.model, models.backbone, "1")
    assert read_by_click(work.report.commands.redraw)["seed"] == work.found[0].seed
    again = read_by_click(work.report.commands.rescore)
    assert again["prompt"] == "--a red cube"
    assert [str(path) for path in again["images"]] == [str(desk.root / work.key / "candidates")]


def test_a_stopped_run_goes_on_to_what_it_would_have_been(desk, models):
    whole = finished(desk, desk.draw(Order(PROMPT, models, n=5, steps=1)))
    key = desk.draw(Order(PROMPT, models, n=5, steps=1))
    until(desk, lambda: len(desk.find(key).found) >= 1 or not desk.find(key).busy)
    desk.stop(key)
    part = finished(desk, key)
    there = len(part.found)
    assert part.state == ("stopped" if there < 5 else "done")
    assert len(scores_of(desk.root / key)) == there
    assert f"--n {there} " in part.report.commands.run
    desk.go_on(key, 2)
    after = finished(desk, key)
    wanted = 5 if there < 5 else 7
    assert len(after.found) == wanted
    rest = {seed: found[1:] for seed, found in scores_of(desk.root / key).items() if seed < 5}
    assert rest == {seed: found[1:] for seed, found in scores_of(desk.root / whole.key).items()}
    assert [p.name for p in desk.root.iterdir() if p.name.startswith(".")] == []


def test_a_strategy_draws_as_it_does_without_the_page(desk, models, reranker, pipeline):
    work = finished(desk, desk.draw(Order(PROMPT, models, n=3, steps=4, strategy="drafts")))
    assert (work.state, work.error) == ("done", None)
    ranking = reranker.generate(pipeline, PROMPT, 3, batch_size=1, strategy="drafts", num_inference_steps=4)
    report, images = read_generated(desk.root / work.key)
    assert [image.tobytes() for image in images] == [c.image.tobytes() for c in ranking.candidates]
    assert report.settings["strategy"]["name"] == "drafts"
    assert " --draft-steps " in report.commands.run
    assert " --draft-steps " not in report.commands.redraw
    with pytest.raises(UsageError, match="followed the strategy drafts"):
        desk.go_on(work.key, 2)
    assert " --until-bound 0.95 " in Order(PROMPT, models).command(3, 0, "until-bound")


def test_a_strategys_settings_and_every_option_stand_in_the_command(desk, models, tmp_path):
    own = {"draft_steps": 1, "keep": 1}
    order = Order(PROMPT, models, n=2, steps=2, batch_size=2, strategy="drafts", strategy_settings=own)
    work = finished(desk, desk.draw(order))
    assert (work.state, work.error, len(work.found)) == ("done", None, 1)
    asked = read_by_click(work.report.commands.run)
    assert (asked["draft_steps"], asked["keep"], asked["batch_size"]) == (1, 1, "2")
    with pytest.raises(UsageError, match="probability must be above 0"):
        desk.draw(Order(PROMPT, models, strategy="until-bound", strategy_settings={"probability": 2.0}))
    drawn = replace(models, scheduler="EulerDiscreteScheduler", lora=("a.safetensors:0.5", "b"), variant="fp16")
    call = {"eta": "0.5", "clip_skip": "1"}
    sizes = {"width": 16, "height": 24, "steps": 3, "guidance": 2.0, "negative_prompt": "a star"}
    own = {"probability": 0.5, "max_seconds": 9.0}
    order = Order(PROMPT, drawn, 4, 1, 2, call=call, strategy="until-bound", strategy_settings=own, **sizes)
    asked = read_by_click(order.command(4, 1, "until-bound"))
    expected = {**sizes, "n": 4, "seed": 1, "batch_size": "2", "until_bound": 0.5, "max_seconds": 9.0}
    assert {name: asked[name] for name in expected} == expected
    assert (asked["scheduler"], asked["variant"], asked["device"]) == ("EulerDiscreteScheduler", "fp16", "cpu")
    assert list(asked["lora"]) == ["a.safetensors:0.5", "b"]
    assert list(asked["arguments"]) == ["eta=0.5", "clip_skip=1"]


def test_a_search_is_no_seed_to_draw_again(desk, models):
    order = Order(PROMPT, models, n=6, steps=1, strategy="search", strategy_settings={"share": 0.4})
    work = finished(desk, desk.draw(order))
    assert (work.state, work.error, len(work.found)) == ("done", None, 6)
    assert read_by_click(work.report.commands.run)["search"] == 0.4
    assert work.report.commands.redraw is None


def test_a_stopped_run_goes_on_to_all_that_it_asked_for_after_a_restart(desk, models):
    work = finished(desk, desk.draw(Order(PROMPT, models, n=4, steps=1)))
    assert not read_generated(desk.root / work.key)[0].interrupted
    part = replace(work, report=work.report.model_copy(update={"candidates": work.found[:2]}), wanted=4)
    save(desk.root, part)
    report, _ = read_generated(desk.root / work.key)
    assert (report.interrupted, report.settings["n"], len(report.candidates)) == (True, 4, 2)
    other = Desk(desk.root, models)
    page = seen(other, work.key)
    assert (page["state"], page["wanted"], page["status"][:15]) == ("stopped", 4, "stopped: 2 of 4")
    other.open()
    other.go_on(work.key, 9)
    whole = finished(other, work.key)
    other.close()
    assert (whole.state, len(whole.found)) == ("done", 4)
    assert not read_generated(desk.root / work.key)[0].interrupted


def test_a_past_run_goes_on_from_its_folder(tmp_path, desk, models):
    first = finished(desk, desk.draw(Order(PROMPT, models, n=2, seed=3, steps=1, guidance=2.0)))
    before = scores_of(desk.root / first.key)
    other = Desk(desk.root, models)
    other.open()
    other.go_on(first.key, 2)
    work = finished(other, first.key)
    other.close()
    assert (work.state, work.error) == ("done", None)
    after = scores_of(desk.root / first.key)
    assert sorted(after) == [3, 4, 5, 6]
    assert {seed: after[seed][1:] for seed in before} == {seed: found[1:] for seed, found in before.items()}
    straight = finished(desk, desk.draw(Order(PROMPT, models, n=4, seed=3, steps=1, guidance=2.0)))
    assert scores_of(desk.root / straight.key) == after


def test_an_order_is_read_from_its_own_report(desk, models):
    order = Order(PROMPT, models, n=2, seed=4, steps=1, guidance=2.5, width=16, height=16)
    work = finished(desk, desk.draw(order))
    read = order_of(work.report)
    assert replace(read.models, scheduler=None, device="cpu") == models
    assert (read.n, read.seed, read.steps, read.guidance, read.width, read.height) == (2, 4, 1, 2.5, 16, 16)
    assert read.batch_size == 1


def test_pictures_are_scored_under_their_names(tmp_path, desk, models, reranker, cli):
    files = []
    for name, colour in (("first cat.png", "red"), ("zweite.jpg", "blue")):
        Image.new("RGB", (24, 16), colour).save(tmp_path / name)
        files.append((name, tmp_path / name))
    work = finished(desk, desk.score(PROMPT, files, models))
    assert (work.state, work.error) == ("done", None)
    expected = {c.source: c.score.value for c in reranker.rank(PROMPT, [path for _, path in files]).candidates}
    found = {c.image: c.score.value for c in work.found}
    assert sorted(found.values()) == pytest.approx(sorted(expected.values()))
    assert {name.partition("_")[2] for name in found} == {"first-cat.png", "zweite.png"}
    code, out, _ = cli("show", desk.root / work.key, "--plain")
    assert code == 0
    page = (desk.root / work.key / "report.html").read_text(encoding="utf-8")
    assert "first-cat" in page
    assert "seed None" not in page + out
    with pytest.raises(UsageError, match="not drawn here"):
        desk.go_on(work.key, 2)


def test_what_goes_wrong_is_a_line(tmp_path, desk, models):
    with pytest.raises(UsageError, match="prompt is empty"):
        desk.draw(Order(" ", models))
    with pytest.raises(UsageError, match="n must be at least 1"):
        desk.draw(Order(PROMPT, models, n=0))
    with pytest.raises(UsageError, match="can be kept"):
        desk.draw(Order(PROMPT, models, n=1, strategy="drafts", strategy_settings={"keep": 2}))
    with pytest.raises(UsageError, match="no picture to score"):
        desk.score(PROMPT, [], models)
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(UsageError, match=r"^words\.png"):
        desk.score(PROMPT, [("words.png", tmp_path / "words.png")], models)
    work = finished(desk, desk.draw(Order(PROMPT, replace(models, model=str(tmp_path / "none")))))
    assert work.state == "failed"
    assert "no text-to-image model at" in work.error
    assert not (desk.root / work.key).exists()


def test_one_is_made_one_waits_and_a_third_is_refused(desk, models):
    until(desk, lambda: desk._loaded is not None or desk.at_work is None)
    keys = [desk.draw(Order(PROMPT, models, n=64, steps=4))]
    until(desk, lambda: desk.at_work is not None)
    keys.append(desk.draw(Order(PROMPT, models, n=64, steps=4)))
    assert desk.find(keys[1]).state == "waiting"
    with pytest.raises(UsageError, match="one waits"):
        desk.draw(Order(PROMPT, models))
    desk.stop(keys[1])
    assert desk.find(keys[1]).state == "stopped"
    desk.stop(keys[0])
    assert len(finished(desk, keys[0]).found) < 64


def test_a_closed_desk_has_written_what_was_drawn(tmp_path, models):
    desk = Desk(tmp_path / "runs", models)
    desk.open()
    key = desk.draw(Order(PROMPT, models, n=200, steps=4))
    until(desk, lambda: len(desk.find(key).found) >= 2)
    desk.close()
    assert 2 <= len(scores_of(desk.root / key)) < 200


def test_past_runs_are_listed_newest_first_and_nothing_else(tmp_path, desk, models):
    for name in ("empty", ".hidden", "broken"):
        (desk.root / name).mkdir(parents=True)
    (desk.root / "broken" / "report.json").write_text("{")
    keys = [finished(desk, desk.draw(Order(f"a {c} cube", models, n=1, steps=1))).key for c in ("red", "blue")]
    found = shelf.past_runs(desk.root)
    assert [run.title for run in found] == ["a blue cube", "a red cube"]
    assert [run.name for run in found] == keys[::-1]
    path, kind = shelf.run_file(desk.root, keys[0], "best.png")
    assert (path, kind) == (desk.root / keys[0] / "best.png", "image/png")
    for name, file in ((keys[0], "../../secret.png"), ("..", "x.png"), (keys[0], ".lock"), ("empty", "a.png")):
        with pytest.raises(Exception, match=r"no run|no file|outside"):
            shelf.run_file(desk.root, name, file)


def test_broken_and_hostile_folders_hide_no_run(tmp_path):
    def report(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(text, encoding="utf-8")

    good = json.dumps({"prompt": "a red cube", "candidates": [1]})
    report("good", good)
    report("nested", "[" * 200_000)
    report("infinite", '{"prompts": 1e999, "candidates": 3}')
    report("a list", "[]")
    report("half", json.dumps({"prompt": "\ud800\x1b[31m" + "x" * 10_000, "candidates": []}))
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "report.json").symlink_to(tmp_path / "good" / "report.json")
    (tmp_path / "picture").mkdir()
    (tmp_path / "picture" / "report.json").write_text(good)
    (tmp_path / "picture" / "best.png").symlink_to("/etc/passwd")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    (tmp_path / os.fsdecode(b"\xff") / "report.json").write_text(good)
    listed = {run.name: run for run in shelf.past_runs(tmp_path)}
    assert listed.keys() == {"good", "half"}
    json.dumps([vars(run) for run in listed.values()], ensure_ascii=False).encode()
    assert listed["half"].title.isprintable()
    assert len(listed["half"].title) <= shelf.TITLE + 10
    for name in ("x" * 5000, "a\0b", "..", "", ".hidden", "good/../good", "/etc"):
        with pytest.raises(UsageError, match="there is no run"):
            shelf.run_folder(tmp_path, name)


def test_what_is_asked_of_the_desk_may_be_anything(tmp_path, models):
    starlette = pytest.importorskip("starlette.applications")
    client = pytest.importorskip("starlette.testclient")
    routes = pytest.importorskip("abe_rerank.integrations.app.routes").routes_of(Desk(tmp_path, models))
    page = client.TestClient(starlette.Starlette(routes=routes), raise_server_exceptions=True)
    for body in (b"[" * 60_000, b"\xff", b"{}", b'{"run": [[]]}', b"1" * 50_000, b"x" * (routes_module().LONGEST + 9)):
        assert page.post("/abe/stop", content=body).status_code == 200
        assert page.post("/abe/go-on", content=body).status_code == 400
    assert page.get("/abe/runs/%2e%2e/report.json").status_code in (400, 404)
    assert page.get("/abe/runs/x/..%2f..%2fetc%2fpasswd").status_code == 400


def routes_module():
    from abe_rerank.integrations.app import routes

    return routes


def test_the_reading_says_what_is_bound_and_what_is_not():
    html = str(stage.reading("a photo of a red cube, no dog"))
    assert '<span class="piece attribute"' in html
    assert "not wanted" in html
    assert "<b" not in stage.reading("a red <b>cube</b>")
    assert stage.reading("  ") == ""
    assert "Nothing to bind" in stage.reading("a cube")


def ask(guard, method="GET", headers=(), path="/"):
    """(status, headers) of a request to an ASGI application."""
    import asyncio

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in dict(headers).items()]
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}


async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def test_without_a_password_only_this_machine_gets_in():
    guard = Guard(inner, "abe", None)
    status, headers = ask(guard, headers={"host": "127.0.0.1:7860"})
    assert status == 200
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert ask(guard, headers={"host": "localhost"})[0] == 200
    assert ask(guard, headers={"host": "evil.example"})[0] == 403
    assert ask(guard, headers={"host": "[::1"})[0] == 403
    assert ask(guard, headers={})[0] == 403
    own = {"host": "127.0.0.1:7860", "origin": "http://127.0.0.1:7860"}
    assert ask(guard, "POST", own)[0] == 200
    assert ask(guard, "POST", {**own, "origin": "http://evil.example"})[0] == 403
    assert ask(guard, "POST", {**own, "origin": "null"})[0] == 403


def test_with_a_password_nobody_gets_in_without_it():
    guard = Guard(inner, "abe", "secret")

    def status(said):
        return ask(guard, headers={"host": "example.org", "authorization": said})[0]

    assert status("Basic " + b64encode(b"abe:secret").decode()) == 200
    for wrong in ("", "Basic", "Basic !", "Bearer x", "Basic " + b64encode(b"abe:other").decode()):
        assert status(wrong) == 401


def test_a_password_is_made_where_others_may_come():
    assert Place().secret is None
    assert Place("::1").secret is None
    assert len(Place("0.0.0.0").secret) >= 12
    assert len(Place(share=True).secret) >= 12
    assert Place(password="mine").secret == "mine"


def test_without_gradio_the_command_says_what_to_install(monkeypatch, cli):
    import sys

    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, err = cli("app", "--port", "1")
    assert code in (1, 2)
    assert json.dumps(err).count("\\n") == 1
    code, _, err = cli("app", "--port", "0")
    assert code == 2


@pytest.mark.slow
def test_the_command_serves_this_machine_alone_and_ends_when_told(tmp_path, models):
    pytest.importorskip("gradio", reason="gradio is not installed (extra: app)")
    import signal
    import subprocess
    import sys
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    import psutil

    words = ["app", "--model", models.model, "--backbone", models.backbone, "--device", "cpu", "--runs", "runs"]
    command = [sys.executable, "-m", "abe_rerank", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        port = int(address.rpartition(":")[2])
        assert address == f"http://127.0.0.1:{port}"
        with urlopen(address, timeout=120) as answer:
            assert "gradio" in answer.read().decode()
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        with pytest.raises(HTTPError, match="403"):
            urlopen(Request(address, headers={"Host": "elsewhere.example"}), timeout=120)
        listening = [c.laddr for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"]
        assert [tuple(address) for address in listening] == [("127.0.0.1", port)]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (143, "")
