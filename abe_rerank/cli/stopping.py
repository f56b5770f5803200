"""Ctrl-C and SIGTERM while images are drawn: what is at hand is finished, and the run ends with what is there."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from abe_rerank.errors import AbeRerankError

if TYPE_CHECKING:
    from abe_rerank.evaluation.processes import World

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedRunError(AbeRerankError):
    """A run that was stopped before all was done; ``code`` is the exit code, 130 for Ctrl-C and 143 for SIGTERM."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Stop:
    """Whether the command was asked to stop, and by which signal."""

    signal: int | None = None

    def asked(self) -> bool:
        """Whether it was."""
        return self.signal is not None

    @property
    def code(self) -> int:
        """The exit code of the signal."""
        return 128 + (self.signal or signal.SIGINT)

    def error(self, text: str) -> InterruptedRunError:
        """What ends the command, with the exit code of the signal."""
        return InterruptedRunError(text, self.code)


@contextmanager
def finishing_first(world: World) -> Iterator[Stop]:
    """Within the block the first SIGINT or SIGTERM asks to stop, and the next stops at once: not where there are
    several processes, as these get one from the terminal and another from their launcher, which kills what takes too
    long. In another thread than the main one signals are left alone."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def first(number: int, _: FrameType | None) -> None:
        stop.signal = number
        for each, handler in before.items() if world.processes == 1 else ():
            signal.signal(each, handler)
        if world.is_first:
            os.write(2, b"\nstopping when what is at hand is done; once more to stop at once\n")  # safe in a handler

    for number in SIGNALS:
        signal.signal(number, first)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
