"""Where lanes of a table are worked off: processes on this machine, or actors on a Ray cluster, both through Daft."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import daft
from filelock import FileLock, Timeout

from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.integrations.daft.shards import Job, Lane, do_lane


@dataclass(frozen=True)
class Engine:
    """Where the work is done: ``workers`` processes on this machine, or actors of Ray at ``address`` (None: Ray on this
    machine); each takes ``gpus`` of a GPU."""

    name: Literal["native", "ray"] = "native"
    workers: int = 1
    gpus: float = 0
    address: str | None = None


USAGE = "usage: "
"""What the fault of a worker begins with that was asked for a reranker that there is not."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_off(lanes: Sequence[Lane], job: Job, engine: Engine) -> None:
    """Score the lanes: in this process if one worker without a GPU of its own is asked for, else in Daft's.

    Raises UsageError if the engine or the reranker is not there, AbeRerankError if a lane could not be done.
    """
    if engine.name == "native" and engine.workers == 1 and not engine.gpus:
        fault = _done_here(lanes, job)
    else:
        fault = next((fault for fault in _done_by_daft(lanes, job, engine) if fault is not None), None)
    if fault is not None:
        if fault.startswith(USAGE):
            raise UsageError(fault.removeprefix(USAGE))
        raise AbeRerankError(f"{fault}; what is done is in {job.out}, and the same command goes on")


def _done_here(lanes: Sequence[Lane], job: Job) -> str | None:
    worker = Worker(job)
    return next((fault for fault in map(worker.do, lanes) if fault is not None), None)


def _done_by_daft(lanes: Sequence[Lane], job: Job, engine: Engine) -> list[str | None]:
    _start(engine)
    worker = _daft_worker(job, engine)
    tasks = daft.from_pydict({"lane": list(range(len(lanes)))})
    if engine.name == "ray":
        tasks = tasks.into_partitions(len(lanes))
    try:
        faults: list[str | None] = tasks.with_column("fault", worker.do(tasks["lane"], lanes)).to_pydict()["fault"]
    except AbeRerankError:
        raise
    except Exception as error:  # the engines have errors of their own: a worker that was killed, a cluster that is gone
        return [f"{engine.name}: {first_line(error)}"]
    return faults


def wait_for_workers(out: Path) -> None:
    """Wait until no worker of an earlier run, whose first process was killed, is at work.

    Raises UsageError if one is after a minute.
    """
    for file in out.glob(".worker-*.lock"):
        try:
            with FileLock(file, timeout=60):
                pass
        except Timeout:
            raise UsageError(f"a worker of an earlier run still writes {out}; wait for it or stop it first") from None
        with suppress(OSError):
            file.unlink()


class Worker:
    """Loads the reranker of a job once, and does lanes as it is given them. ``go_on`` is asked before each batch of
    rows, and raises AbeRerankError to stop."""

    def __init__(self, job: Job, go_on: Callable[[], None] = lambda: None) -> None:
        from abe_rerank.reranker import Reranker

        self.job, self.go_on, self.fault = job, go_on, ""
        try:
            self.reranker: Reranker | None = Reranker.from_pretrained(**job.chosen)
        except UsageError as error:
            self.reranker, self.fault = None, f"{USAGE}{error}"
        except AbeRerankError as error:
            self.reranker, self.fault = None, str(error)

    def do(self, lane: Lane) -> str | None:
        """Do a lane. What goes wrong is given back, since errors do not come out of an engine as they went in."""
        if self.reranker is None:
            return self.fault
        try:
            do_lane(self.reranker, self.job, lane, self.go_on)
        except AbeRerankError as error:
            return str(error)
        return None


def _daft_worker(job: Job, engine: Engine) -> Any:
    """A worker in processes of Daft's."""

    native = engine.name == "native"
    threads = max(1, cores() // engine.workers) if native else None
    starter = os.getpid() if native else None

    @daft.cls(max_concurrency=engine.workers, gpus=engine.gpus, use_process=True)
    class DaftWorker:
        def __init__(self) -> None:
            import torch

            if threads is not None:
                torch.set_num_threads(threads)
            self.worker = Worker(job, stop_without(starter))

        @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=1)
        def do(self, numbers: daft.Series, lanes: Sequence[Lane]) -> list[str | None]:
            faults = []
            for number in numbers.to_pylist():
                with _working(job.out, number):
                    faults.append(self.worker.do(lanes[number]))
            return faults

    return DaftWorker()


def _start(engine: Engine) -> None:
    logging.getLogger("daft_local_execution").setLevel(logging.CRITICAL)  # it reports workers that end slowly
    if daft.get_or_infer_runner_type() == engine.name:
        return
    if engine.name == "native":
        _set_runner(daft.set_runner_native)
        return
    try:
        import ray
    except ImportError:
        raise UsageError('--engine ray needs Ray: pip install "daft[ray]"') from None
    try:
        if not ray.is_initialized():
            local: dict[str, Any] = (
                {} if engine.address else {"num_cpus": engine.workers + 1, "include_dashboard": False}
            )
            ray.init(address=engine.address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # Ray's own, and those of gRPC
        raise AbeRerankError(f"no Ray cluster at {engine.address or 'this machine'}: {first_line(error)}") from None
    _set_runner(partial(daft.set_runner_ray, engine.address, noop_if_initialized=True))


def _set_runner(choose: Callable[[], object]) -> None:
    try:
        choose()
    except daft.exceptions.DaftCoreException:
        raise UsageError("this process has used Daft with another engine already; start a new one") from None


def _lock_of(out: Path, lane: int) -> Path:
    return out / f".worker-{lane}.lock"


@contextmanager
def _working(out: Path, lane: int) -> Iterator[None]:
    lock = FileLock(_lock_of(out, lane))
    with lock:
        yield
    with suppress(OSError):
        _lock_of(out, lane).unlink()


def stop_without(starter: int | None) -> Callable[[], None]:
    """What raises AbeRerankError once the process that started this one is gone: its run may have been started anew.

    ``starter`` is the number of that process, which may be gone already; None is whoever is the parent now.
    """
    parent = starter or os.getppid()

    def go_on() -> None:
        if os.getppid() != parent:
            raise AbeRerankError("the process that started this worker is gone")

    return go_on
