"""Several processes of one command, started by the launcher of torch: they share a run out among themselves."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable
from uuid import uuid4

from abe_rerank.cli.terminal import note
from abe_rerank.errors import UsageError


def run_in(processes: int, command: str, work: Callable[[], None]) -> None:
    """Do the work of a command in so many processes: here, or in others that run the ``command``.

    Where a launcher started this process, it says how many there are.
    """
    if processes > 1 and not is_launched():
        launch(processes, command)
    else:
        work()


def is_launched() -> bool:
    """Whether a launcher started this process, as one of several or alone."""
    return "LOCAL_RANK" in os.environ


def launch(processes: int, command: str) -> None:
    """Run a command line, ``abe-rerank ...``, in so many processes on this machine, and exit with the code of the one
    that failed first, if one does.

    Threads are shared out, unless OMP_NUM_THREADS says how many each has. Raises UsageError for more processes than
    there are GPUs to have one each, where the command leaves the device to choose and there are GPUs.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    words = shlex.split(command)[1:]
    on_cpu = "--device=cpu" in words or not torch.cuda.is_available()
    if not on_cpu and processes > torch.cuda.device_count():
        raise UsageError(f"--processes {processes}: there are {torch.cuda.device_count()} GPUs, and each takes its own")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    if logging.getLogger("abe_rerank").isEnabledFor(logging.DEBUG):
        words.insert(0, "--debug")
    else:
        logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    note(f"starting {processes} processes with {os.environ['OMP_NUM_THREADS']} threads each")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        local_addr="127.0.0.1",
    )
    try:
        elastic_launch(config, sys.executable)("-m", "abe_rerank", *words)
    except ChildFailedError as error:
        first = min(error.failures.values(), key=lambda failure: failure.timestamp)
        sys.exit(128 - first.exitcode if first.exitcode < 0 else first.exitcode)
    except SignalException as error:
        sys.exit(128 + error.sigval)
