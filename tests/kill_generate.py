"""A run of generate that is killed at chosen moments of its drawing and resumed; prints how often, and where it was.

    python tests/kill_generate.py FOLDER MOMENTS [OPTIONS of generate]
    python tests/kill_generate.py /tmp/killed 50 --n 8 --steps 10 --batch-size 1          (by hand, some minutes)

The libraries are loaded once; each run is a child that kills itself by SIGKILL. A moment is a time after a call of the
network that draws, between it and the next or the end, as an undisturbed run took it: so moments are spread over
drawing, scoring and writing, and not over loading. After each kill the next child goes on with the same command, killed
once more at its second call, and the last one must leave the files of an undisturbed run, to the byte; of
``report.json`` all but when it was made, and what time and memory that took.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

PROMPT = "a yellow cylinder and a red cube"
VARYING = ("created", "seconds", "peak_mb")


def run(folder: Path, options: list[str], call: int = 0, seconds: float = 0.0) -> int:
    """The exit status of a child that runs the command; killed so many seconds after the ``call``-th call of the
    network that draws, if that is not 0. The times of all calls are written to FOLDER.calls, the end too."""
    from diffusers import UNet2DConditionModel
    from torch.nn.modules.module import register_module_forward_pre_hook

    from abe_rerank.cli.app import main

    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    times: list[float] = []

    def called(module: object, _: object) -> None:
        if isinstance(module, UNet2DConditionModel):
            times.append(time.perf_counter())
            if len(times) == call:
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(f"{folder}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    register_module_forward_pre_hook(called)
    try:
        main(["generate", PROMPT, "--out", str(folder), *options])
    except SystemExit as ended:
        Path(f"{folder}.calls").write_text(json.dumps([*times, time.perf_counter()]), encoding="utf-8")
        os._exit(int(ended.code or 0))
    os._exit(70)


def where(root: Path, folder: Path) -> str:
    """What was on the disk at a kill."""
    if folder.is_dir() or list(root.glob(f".{folder.name}.partial-*")):
        return "while the report was written"
    lines = sum(file.read_bytes().count(b"\n") for file in root.glob(f".{folder.name}.drawn-*/results/*.jsonl"))
    pictures = len(list(root.glob(f".{folder.name}.drawn-*/images/*/*.png")))
    return f"{lines} scored" + (", one more drawn" if pictures > lines else "")


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
    """Kill a run at equally spaced moments of its drawing."""
    import torch  # noqa: F401 - loaded once for all children

    import abe_rerank.drawing.pipelines  # noqa: F401
    from abe_rerank.cli.terminal import quiet_libraries

    quiet_libraries()
    root.mkdir(parents=True, exist_ok=True)
    assert run(root / "undisturbed", options) == 0, (root / "undisturbed.err").read_text()
    expected = content(root / "undisturbed")
    times = json.loads((root / "undisturbed.calls").read_text(encoding="utf-8"))
    calls, killed, states = len(times) - 1, 0, Counter[str]()
    folder = root / "killed"
    for k in range(moments):
        call, part = divmod(calls * (k + 0.5) / moments, 1)
        status = run(folder, options, int(call) + 1, part * (times[int(call) + 1] - times[int(call)]))
        killed += os.WIFSIGNALED(status)
        states[where(root, folder) if os.WIFSIGNALED(status) else "ended before"] += 1
        if os.WIFSIGNALED(status):
            run(folder, options, 2)
            if not (folder / "report.json").is_file():
                assert run(folder, options) == 0, Path(f"{folder}.err").read_text()
        assert content(folder) == expected, k
        shutil.rmtree(folder)
        for rest in root.glob(".killed*"):
            shutil.rmtree(rest)
    for state, count in states.items():
        print(f"{count:3} {state}")
    print(f"network calls in a run: {calls}; moments: {moments}; killed: {killed}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
