"""A run of generate that is killed at chosen moments and resumed; prints how often it was, and in which state.

    python tests/kill_generate.py FOLDER MOMENTS [OPTIONS of generate]

The libraries are loaded once; each run is a child that kills itself by SIGKILL when a timer goes off. After each kill
the next child goes on with the same command, killed early once more, and the last one must leave the files of an
undisturbed run, to the byte; of ``report.json`` all but when it was made, and what time and memory that took.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

PROMPT = "a yellow cylinder and a red cube"
VARYING = ("created", "seconds", "peak_mb")


def run(folder: Path, options: list[str], seconds: float = 0.0) -> tuple[int, float]:
    """(exit status, seconds) of a child that runs the command, and is killed after some seconds."""
    from abe_rerank.cli.app import main

    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(f"{folder}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        if seconds:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            main(["generate", PROMPT, "--out", str(folder), *options])
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        os._exit(70)
    return os.waitpid(child, 0)[1], time.perf_counter() - start


def content(folder: Path) -> dict[str, object]:
    """The bytes of each file by its name; of the report all that does not vary."""
    found: dict[str, object] = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    found["report.json"] = {
        name: value for name, value in report.items() if name not in VARYING and name != "commands"
    } | {"run": report["commands"]["run"], "redraw": report["commands"]["redraw"]}
    del found["report.html"]  # it shows when the run was made
    return found


def main(root: Path, moments: int, options: list[str]) -> None:
    """Kill a run at equally spaced moments of its time."""
    import torch  # noqa: F401 - loaded once for all children

    import abe_rerank.drawing.pipelines  # noqa: F401
    from abe_rerank.cli.terminal import quiet_libraries

    quiet_libraries()
    whole = root / "undisturbed"
    status, _ = run(whole, options)
    assert status == 0, Path(f"{whole}.err").read_text()
    expected = content(whole)
    killed, states = 0, []
    _, took = run(root / "timed", options)
    for k in range(moments):
        folder = root / "killed"
        moment = took * (k + 0.5) / moments
        status, _ = run(folder, options, moment)
        killed += os.WIFSIGNALED(status)
        lines = sum(file.read_bytes().count(b"\n") for file in root.glob(".killed.drawn-*/results/*.jsonl"))
        states.append("written" if folder.is_dir() else str(lines))
        if not os.WIFSIGNALED(status):
            assert status == 0, Path(f"{folder}.err").read_text()
        else:
            if not folder.is_dir():
                run(folder, options, took * 0.3)
            if not (folder / "report.json").is_file():
                status, _ = run(folder, options)
                assert status == 0, Path(f"{folder}.err").read_text()
        assert content(folder) == expected, k
        shutil.rmtree(folder)
        for rest in root.glob(".killed*"):
            shutil.rmtree(rest)
    print(f"killed {killed} of {moments}; results there at the kill: {' '.join(states)}")
    print(killed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
