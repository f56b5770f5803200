"""What the training scripts share: checkpoints, the learning rate's course, the log, and rendered scenes on disk."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from abe_rerank.shapes.render import render
from abe_rerank.shapes.world import Scene

log = logging.getLogger(__name__)


def log_to(folder: Path) -> None:
    """Sends the log of the training to the terminal and to ``folder``/log.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(folder / "log.txt")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes the checkpoint beside its name first, so that a kill leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def load_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any] | None:
    """The checkpoint, or None where none has been written yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def learning_rate(step: int, steps: int, peak: float, warmup: int = 200) -> float:
    """Linear warm-up, then a half cosine down to zero at ``steps``."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


@dataclass
class Pace:
    """Says when a checkpoint is due, and keeps the seconds that the training has taken over all its runs."""

    every: float
    spent: float = 0.0
    _last: float = field(default_factory=time.monotonic)
    _seen: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """True once in ``every`` seconds; counts the time since the last call."""
        now = time.monotonic()
        self.spent += now - self._seen
        self._seen = now
        if now - self._last < self.every:
            return False
        self._last = now
        return True


def rendered_scenes(folder: Path, scenes: int, scene_of: Callable[[int], Scene], size: int) -> NDArray[np.uint8]:
    """Images uint8 [scenes, size, size, 3] of ``scene_of(0..scenes-1)``, mapped from disk; rendered on the first call.

    The marker file beside the images says how many are done, so that an interrupted call goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, marker = folder / f"images_{scenes}_{size}.npy", folder / f"images_{scenes}_{size}.done"
    shape = (scenes, size, size, 3)
    fresh = not path.exists()
    images = np.lib.format.open_memmap(path, "w+" if fresh else "r+", dtype=np.uint8, shape=shape if fresh else None)
    done = int(marker.read_text()) if marker.exists() and not fresh else 0
    for index in range(done, scenes):
        images[index] = render(scene_of(index), size)[0]
        if (index + 1) % 2000 == 0 or index + 1 == scenes:
            images.flush()
            marker.write_text(str(index + 1))
            log.info("rendered %d of %d scenes", index + 1, scenes)
    return images
