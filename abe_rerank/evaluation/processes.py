"""The processes that do a run together: which one this is, on which device, and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from abe_rerank.errors import AbeRerankError, UsageError

T = TypeVar("T")

_PATIENCE = timedelta(days=30)
"""How long processes wait for the slowest; the launcher stops all of them when one dies, so that none waits for it."""


@dataclass(frozen=True)
class World:
    """This process among all; ``device`` is None where it was left to choose and there is one process only."""

    rank: int
    processes: int
    device: str | None

    @classmethod
    def join(cls, device: str | None) -> World:
        """The world that ``accelerate launch`` or ``torchrun`` made, or that of a single process.

        Raises UsageError for a device with a number among several processes: each takes its own.
        """
        from accelerate import PartialState

        from abe_rerank.backbones.devices import pick_device

        state = PartialState(cpu=pick_device(device).startswith("cpu"), timeout=_PATIENCE)
        if state.num_processes == 1:
            return cls(0, 1, device)
        if device is not None and ":" in device:
            raise UsageError(f"--device {device} would put {state.num_processes} processes on one device; leave it out")
        place = "cpu" if state.device.type == "cpu" else str(state.device)
        return cls(state.process_index, state.num_processes, place)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that prints, and writes what all share."""
        return self.rank == 0

    def by_first(self, work: Callable[[], T]) -> T:
        """What ``work`` gives in the first process, in all of them; after an error of ours there, all end."""
        if self.processes == 1:
            return work()
        from accelerate.utils import broadcast_object_list

        box: list[Any] = [None, None]
        if self.is_first:
            try:
                box[0] = work()
            except AbeRerankError as error:
                box[1] = error
        broadcast_object_list(box, from_process=0)
        if box[1] is not None:
            raise box[1] if self.is_first else SystemExit(1)
        result: T = box[0]
        return result

    def any(self, flag: bool) -> bool:
        """Whether something is so in any of the processes; all come here before one goes on.

        Raises AbeRerankError where one of them is gone, unless it is so here.
        """
        if self.processes == 1:
            return flag
        from accelerate.utils import gather_object

        try:
            return any(gather_object([flag]))
        except RuntimeError:
            if flag:
                return True
            raise AbeRerankError("another process of this run is gone; the same command goes on") from None

    def leave(self, stopped: bool = False) -> None:
        """Close the connection between the processes; where they are ``stopped``, it ends with them."""
        if self.processes > 1 and not stopped:
            from accelerate import PartialState

            PartialState().destroy_process_group()
