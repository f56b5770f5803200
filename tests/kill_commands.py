"""generate, evaluate, tune and score --manifest, each killed at random moments and started again; says what came of it.

    python tests/kill_commands.py FOLDER MOMENTS [COMMAND ...]

The libraries and tiny models are loaded once; each run is a child that kills itself by SIGKILL when a timer goes off,
once or twice, and whose last start must leave the files, or the words, of an undisturbed run, to the byte: nothing
lost, nothing more. What says when something was made, and how long that took, is not compared.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

VARYING = frozenset({"created", "seconds", "peak_mb", "command", "commands", "seal"})
PAGES = (".html", ".lock")


@dataclass(frozen=True)
class Command:
    """The words of a command that writes to a folder (tune: below it), and whether it only prints."""

    words: Callable[[Path], list[str | Path]]
    prints: bool = False


def run(words: list[str | Path], out: Path, seconds: float = 0.0) -> tuple[int, float]:
    """(exit status, seconds) of a child that runs a command, and is killed after some seconds; its words are kept in
    ``out.said`` and ``out.err``."""
    from abe_rerank.cli.app import main

    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        for number, ending in ((1, "said"), (2, "err")):
            os.dup2(os.open(f"{out}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ["XDG_DATA_HOME"] = str(out)
        if seconds:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            sys.stdout.flush()
            os._exit(int(ended.code or 0))
        os._exit(70)
    return os.waitpid(child, 0)[1], time.perf_counter() - start


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


def outcome(command: Command, out: Path) -> Any:
    """What a finished command left: its words, or its files."""
    return Path(f"{out}.said").read_bytes() if command.prints else content(out)


def try_moments(name: str, command: Command, root: Path, moments: int, rng: random.Random) -> None:
    """Kill a command at random moments of its time, and compare what its last start leaves."""
    whole = root / f"{name}-whole"
    status, _ = run(command.words(whole), whole)
    assert status == 0, Path(f"{whole}.err").read_text()
    expected = outcome(command, whole)
    _, took = run(command.words(root / f"{name}-timed"), root / f"{name}-timed")
    kills, at = 0, []
    for k in range(moments):
        out = root / f"{name}-killed"
        for _ in range(rng.choice((1, 1, 2))):
            moment = max(rng.uniform(0, took), 0.001)
            status, _ = run(command.words(out), out, moment)
            kills += os.WIFSIGNALED(status)
            at.append(f"{moment:.2f}{'' if os.WIFSIGNALED(status) else ' (had ended)'}")
            if not os.WIFSIGNALED(status):
                break
        if os.WIFSIGNALED(status) or command.prints:
            status, _ = run(command.words(out), out)
        assert status == 0, (name, k, at[-2:], Path(f"{out}.err").read_text())
        found = outcome(command, out)
        assert found == expected, (name, k, at[-2:], differing(found, expected))
        left = [p for p in root.rglob("*") if p.name.endswith(".unfinished") or ".partial-" in p.name]
        left += list(root.glob(f".{out.name}*"))
        assert not left, (name, k, at[-2:], left)
        shutil.rmtree(out, ignore_errors=True)
    print(f"{name}: {moments} moments, {kills} kills, {took:.1f} s undisturbed; the same bytes each time", flush=True)
    print(f"  killed after {' '.join(at)}", flush=True)


def differing(found: Any, expected: Any) -> Any:
    """The names of the files in which two outcomes differ."""
    if isinstance(found, bytes):
        return found[-200:], expected[-200:]
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def commands(root: Path) -> dict[str, Command]:
    """The commands on tiny models and pictures, made below a folder."""
    import numpy as np
    from conftest import tiny_pipeline, word_tokenizer
    from PIL import Image
    from tiny_models import save_tiny

    model = root / "model"
    tiny_pipeline(word_tokenizer(root / "words")).save_pretrained(model)
    backbone = save_tiny("CLIPModel", root / "backbone")
    (root / "prompts.txt").write_text("a red cube\na yellow star and a red cube\n")
    for k in range(4):
        pixels = np.random.default_rng(k).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{k}.png")
    (root / "rows.csv").write_text("image,prompt\n" + "".join(f"{k}.png,a red cube\n" for k in range(4)))
    reads = ["--backbone", backbone, "--device", "cpu"]
    draws = ["--n", "3", "--batch-size", "1", "--steps", "2", "--model", model, *reads]
    return {
        "generate": Command(lambda out: ["generate", "a red cube", *draws, "--out", out]),
        "evaluate": Command(lambda out: ["evaluate", "--suite", root / "prompts.txt", *draws, "--out", out]),
        "tune": Command(lambda out: ["tune", "--scenes", "1", "--quick", *reads]),
        "score": Command(lambda out: ["score", "--manifest", root / "rows.csv", "--json", *reads], prints=True),
    }


def main(root: Path, moments: int, names: list[str]) -> None:
    """Try every command, or those that are named."""
    import torch
    from tqdm import tqdm

    import abe_rerank.drawing.pipelines
    import abe_rerank.evaluation.work  # noqa: F401 - loaded once for all children
    from abe_rerank.benchmarks import tuning
    from abe_rerank.cli.terminal import quiet_libraries

    quiet_libraries()
    torch.set_num_threads(1)
    tqdm.set_lock(RLock())  # its own is shared among processes: a child that is killed would keep it from the next
    for name, few in (("LAMBDAS", (1.0,)), ("MUS", (1.0, 7.0)), ("COMPETITIONS", (1.0,))):
        setattr(tuning, name, few)
    root.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    for name, command in commands(root).items():
        if not names or name in names:
            try_moments(name, command, root, moments, rng)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
