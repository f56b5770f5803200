"""Commands that are killed at chosen moments, and started again until they are done; says what came of it.

    python tests/kill_commands.py FOLDER MOMENTS SUBJECT [OPTIONS]
    python tests/kill_commands.py /tmp/killed 25 generate          (or evaluate, tune, score: at random moments)
    python tests/kill_commands.py /tmp/killed 50 drawing --n 8 --steps 10 --batch-size 1
    python tests/kill_commands.py /tmp/killed 20 table --scorer clip
    python tests/kill_commands.py /tmp/killed 0 writes             (or draft-writes: 0 moments are all)

drawing is generate at moments that are spread over its drawing, scoring and writing; table is score TABLE --out between
its shards, by turns the first process alone, whose workers must find out, and all processes; writes is an evaluation
that loads no model, before and after each of its syncs, renames and truncations. OPTIONS are those of the command.

Every start is a child that kills itself by SIGKILL, in a session of its own; libraries are loaded once, before. The
last start must leave the files, rows or words of an undisturbed run, to the byte, and no half-written file. What says
when something was made, and what it took, is not compared.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import Any

VARYING = frozenset({"created", "seconds", "peak_mb", "command", "rescore", "seal"})
PAGES = (".html", ".lock")
PROMPT = "a yellow cylinder and a red cube"

Work = Callable[[Path], object]
"""Does a run that writes to a folder, or goes on with it."""

Moment = Callable[[Path], None]
"""Called in a child before it works into a folder; sees to it that the child is killed, or notes something."""


@dataclass(frozen=True)
class Subject:
    """``trials`` gives, from what a run without kills is like, the moments at which one run is killed in turn;
    ``outcome`` is what a run left, ``where`` says what is there at a kill."""

    work: Work
    trials: Callable[[Callable[[Moment], Path], random.Random], Iterable[list[Moment]]]
    outcome: Callable[[Path], Any]
    where: Callable[[Path], str] = lambda out: ""


def start(work: Work, out: Path, moment: Moment = lambda out: None) -> int:
    """The exit status of a child that does the work; its words are kept in ``out.said`` and ``out.err``."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    os.setsid()
    for number, ending in ((1, "said"), (2, "err")):
        os.dup2(os.open(f"{out}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ["XDG_DATA_HOME"] = str(out)
    code = 0
    try:
        moment(out)
        work(out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    os._exit(code)


def try_subject(subject: Subject, root: Path, moments: int) -> tuple[int, Counter[str]]:
    """How many runs were killed and ended as they should, of so many that were tried, and what was there at the kills.

    With 0 moments all trials are made, until a run ends before it is killed.
    """
    whole, out, rehearsals = root / "whole", root / "killed", count()

    def rehearse(moment: Moment) -> Path:
        place = root / f"rehearsal{next(rehearsals)}"
        assert start(subject.work, place, moment) == 0, Path(f"{place}.err").read_text()
        return place

    assert start(subject.work, whole) == 0, Path(f"{whole}.err").read_text()
    expected, killed, seen = subject.outcome(whole), 0, Counter[str]()
    for number, trial in enumerate(islice(subject.trials(rehearse, random.Random(7)), moments or None)):
        kills = 0
        for moment in trial:
            status = start(subject.work, out, moment)
            seen[subject.where(out) if os.WIFSIGNALED(status) else "had ended"] += 1
            if not os.WIFSIGNALED(status):
                break
            kills += 1
        else:
            status = start(subject.work, out)
        assert status == 0, (number, Path(f"{out}.err").read_text())
        if not (moments or kills):
            break
        killed += kills > 0
        found = subject.outcome(out)
        assert found == expected, (number, differing(found, expected))
        left = [p for p in root.rglob("*") if p.name.endswith(".unfinished") or ".partial-" in p.name]
        assert not [*left, *root.glob(f".{out.name}*")], (number, left)
        shutil.rmtree(out, ignore_errors=True)
    return killed, seen


# -- moments -------------------------------------------------------------------------------------------------------


def killed_after(seconds: float) -> Moment:
    """So many seconds after the start."""

    def arm(_: Path) -> None:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))

    return arm


def at_call(number: int, seconds: float = 0.0) -> Moment:
    """So many seconds after the ``number``-th call of the network that draws."""
    return _noting_calls(lambda times, out: len(times) == number and killed_after(seconds)(out))


def note_calls(out: Path) -> None:
    """Write the times of all calls of the network that draws, and of the end, to ``out.calls``."""
    times: list[float] = []
    _noting_calls(lambda now, _: times.append(now[-1]))(out)
    leave = os._exit

    def leaving(code: int) -> None:
        Path(f"{out}.calls").write_text(json.dumps([*times, time.perf_counter()]), encoding="utf-8")
        leave(code)

    os._exit = leaving  # type: ignore[assignment]


def _noting_calls(called: Callable[[list[float], Path], object]) -> Moment:
    def arm(out: Path) -> None:
        from diffusers import UNet2DConditionModel
        from torch.nn.modules.module import register_module_forward_pre_hook

        times: list[float] = []

        def note(module: object, _: object) -> None:
            if isinstance(module, UNet2DConditionModel):
                times.append(time.perf_counter())
                called(times, out)

        register_module_forward_pre_hook(note)

    return arm


def at_write(number: int) -> Moment:
    """When the ``number``-th sync, rename or truncation begins or has ended."""

    def arm(_: Path) -> None:
        steps = count(1)

        def dying(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any) -> Any:
                for step in (lambda: None, lambda: function(*arguments)):
                    result = step()
                    if next(steps) == number:
                        os.kill(os.getpid(), signal.SIGKILL)
                return result

            return wrapped

        os.fsync, os.truncate, os.replace = dying(os.fsync), dying(os.truncate), dying(os.replace)
        Path.replace = dying(Path.replace)  # type: ignore[method-assign]

    return arm


def at_shard(number: int, seconds: float, everyone: bool) -> Moment:
    """So many seconds after ``number`` more shards of a table are there; the first process alone, or all of them."""

    def arm(out: Path) -> None:
        until = shards(out) + number

        def watch() -> None:
            while shards(out) < until:
                time.sleep(0.02)
            time.sleep(seconds)
            (os.killpg if everyone else os.kill)(os.getpid(), signal.SIGKILL)

        threading.Thread(target=watch, daemon=True).start()

    return arm


# -- outcomes ------------------------------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, Any]:
    """The bytes of each file by its name, without pages, locks and the parts of a merged file; of JSON what stays."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.endswith(PAGES) and not name.startswith("results/"):
            found[name] = path.read_bytes()
            if name.endswith(".json"):
                found[name] = lasting(json.loads(found[name]))
    return found


def lasting(value: Any) -> Any:
    """JSON without what varies from run to run."""
    if isinstance(value, dict):
        return {name: lasting(inner) for name, inner in value.items() if name not in VARYING}
    return value


def words(out: Path) -> bytes:
    """What a command printed."""
    return Path(f"{out}.said").read_bytes()


def rows(out: Path) -> list[dict[str, object]]:
    """The rows of a scored table, whose folder holds nothing else."""
    import pyarrow.parquet as pq

    assert sorted(file.name for file in out.iterdir()) == [".table.lock", "rows", "table.json"], list(out.iterdir())
    files = sorted((out / "rows").iterdir())
    assert all(file.name.startswith("rows-") and file.suffix == ".parquet" for file in files), files
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [row["row"] for row in found] == list(range(len(found)))
    return found


def shards(out: Path) -> int:
    """How many shards of a table are there."""
    return len(list((out / "rows").glob("rows-*.parquet")))


def drawn(out: Path) -> str:
    """What of a drawing was on the disk."""
    if out.is_dir() or list(out.parent.glob(f".{out.name}.partial-*")):
        return "while the report was written"
    lines = sum(file.read_bytes().count(b"\n") for file in out.parent.glob(f".{out.name}.drawn-*/results/*.jsonl"))
    pictures = len(list(out.parent.glob(f".{out.name}.drawn-*/images/*/*.png")))
    return f"{lines} scored" + (", one more drawn" if pictures > lines else "")


def differing(found: Any, expected: Any) -> Any:
    """The names of the files in which two outcomes differ, or the ends of what they print."""
    if not isinstance(found, dict):
        return found[-3:], expected[-3:]
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


# -- subjects ------------------------------------------------------------------------------------------------------


def command(*asked: object, out: bool = True) -> Work:
    """A command with these words, and ``--out`` where it takes that."""

    def work(folder: Path) -> None:
        from abe_rerank.cli.app import main

        main([*map(str, asked), *(["--out", str(folder)] if out else [])])

    return work


def at_random(rehearse: Callable[[Moment], Path], rng: random.Random) -> Iterator[list[Moment]]:
    """Once or twice, at any time of what an undisturbed run takes."""
    began = time.perf_counter()
    rehearse(lambda out: None)
    took = time.perf_counter() - began
    while True:
        yield [killed_after(rng.uniform(0, took)) for _ in range(rng.choice((1, 1, 2)))]


def over_drawing(moments: int) -> Callable[[Callable[[Moment], Path], random.Random], Iterator[list[Moment]]]:
    """At equally spaced moments between the calls of the network that draws, and again at the next start's second."""

    def trials(rehearse: Callable[[Moment], Path], _: random.Random) -> Iterator[list[Moment]]:
        times = json.loads(Path(f"{rehearse(note_calls)}.calls").read_text(encoding="utf-8"))
        for k in range(moments):
            call, part = divmod((len(times) - 1) * (k + 0.5) / moments, 1)
            after = part * (times[int(call) + 1] - times[int(call)])
            yield [at_call(int(call) + 1, after), at_call(2)]

    return trials


def over_shards(_: Callable[[Moment], Path], rng: random.Random) -> Iterator[list[Moment]]:
    """Four times in each run, after 0 to 5 more shards and a part of a second."""
    for k in count(step=4):
        yield [at_shard(j % 6, rng.uniform(0, 1 if j % 6 else 12), bool(j % 2)) for j in range(k, k + 4)]


def over_writes(_: Callable[[Moment], Path], __: random.Random) -> Iterator[list[Moment]]:
    """At each write in turn, and early in the next starts."""
    for k in count(1):
        yield [at_write(k), at_write(1), at_write(3), at_write(8)]


def subject_of(name: str, root: Path, moments: int, options: list[str]) -> Subject:
    """A subject by its name; what it needs is made below a folder, and libraries are loaded."""
    if name in ("writes", "draft-writes"):
        import squares

        plan = squares.DRAFTS if name == "draft-writes" else squares.PLAN
        squares.run(root / "first", plan)  # what it imports is loaded once for all children
        return Subject(lambda out: squares.run(out, plan), over_writes, squares.every_byte)
    if name == "table":
        table = make_table(root / "table.parquet")
        asked = command("score", table, "--workers", 2, "--shard-rows", 8, *options)
        return Subject(asked, over_shards, rows, lambda out: f"{shards(out):2} shards")
    load_libraries()
    if name == "drawing":
        return Subject(command("generate", PROMPT, *options), over_drawing(moments), content, drawn)
    model, backbone, suite, manifest = tiny_things(root)
    reads = ["--backbone", backbone, "--device", "cpu", *options]
    draws = ["--n", 3, "--batch-size", 1, "--steps", 2, "--model", model, *reads]
    return {
        "generate": Subject(command("generate", "a red cube", *draws), at_random, content),
        "evaluate": Subject(command("evaluate", "--suite", suite, *draws), at_random, content),
        "tune": Subject(command("tune", "--scenes", 1, "--quick", *reads, out=False), at_random, content),
        "score": Subject(command("score", "--manifest", manifest, "--json", *reads, out=False), at_random, words),
    }[name]


def load_libraries() -> None:
    """What all children need, so that their time is that of their work."""
    import torch
    from tqdm import tqdm

    import abe_rerank.drawing.pipelines
    import abe_rerank.evaluation.work  # noqa: F401
    from abe_rerank.benchmarks import tuning
    from abe_rerank.cli.terminal import quiet_libraries

    quiet_libraries()
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is shared among processes: a child that is killed would keep it
    for name, few in (("LAMBDAS", (1.0,)), ("MUS", (1.0, 7.0)), ("COMPETITIONS", (1.0,))):
        setattr(tuning, name, few)


def tiny_things(root: Path) -> tuple[Path, Path, Path, Path]:
    """(text-to-image model, backbone, prompts, manifest), all tiny."""
    from conftest import tiny_pipeline, word_tokenizer
    from tiny_models import save_tiny

    tiny_pipeline(word_tokenizer(root / "tokenizer")).save_pretrained(root / "model")
    (root / "prompts.txt").write_text("a red cube\na yellow star and a red cube\n")
    for k in range(4):
        (root / f"{k}.png").write_bytes(noise(k, 64))
    (root / "rows.csv").write_text("image,prompt\n" + "".join(f"{k}.png,a red cube\n" for k in range(4)))
    return root / "model", save_tiny("CLIPModel", root / "backbone"), root / "prompts.txt", root / "rows.csv"


def make_table(file: Path, number: int = 320) -> Path:
    """Pictures of noise, prompts of two objects, and a number; 100 rows a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    colours = ["red", "blue", "green", "yellow", "white", "black", "pink", "orange"]
    prompts = [f"a {colours[k % 8]} cylinder and a {colours[k // 8 % 8]} cube" for k in range(number)]
    pictures = [noise(k, 128) for k in range(number)]
    table = pa.table({"image": pictures, "prompt": prompts, "id": list(range(number))})
    pq.write_table(table, file, row_group_size=100)
    return file


def noise(seed: int, side: int) -> bytes:
    """A PNG of squares of noise."""
    import numpy as np
    from PIL import Image

    levels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    content = BytesIO()
    Image.fromarray(levels).resize((side, side), Image.Resampling.NEAREST).save(content, "PNG")
    return content.getvalue()


def main(root: Path, moments: int, name: str, options: list[str]) -> None:
    """Try one subject."""
    root.mkdir(parents=True, exist_ok=True)
    killed, seen = try_subject(subject_of(name, root, moments, options), root, moments)
    for state, times in sorted(seen.items()):
        print(f"{times:4} {state or 'killed'}")
    print(f"{name}: the same each time; runs that were killed: {killed}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
