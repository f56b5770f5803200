"""The desk at which runs are made: one at a time, in a thread of its own, seen alike by every page that looks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from abe_rerank.errors import AbeRerankError, UsageError, first_line
from abe_rerank.integrations.app import making
from abe_rerank.integrations.app.loaded import Loaded, load
from abe_rerank.integrations.app.orders import Models, Order, order_of
from abe_rerank.integrations.app.works import State, Work, save

WAITING = 1
"""How many runs may wait while one is made."""

Job = Callable[[], None]


class Desk:
    """Runs below ``root``, made one at a time; ``models`` are those that are loaded before anything is asked for.

    ``prepare`` is called before that, in the thread that does the work.
    """

    def __init__(self, root: Path, models: Models, prepare: Job = lambda: None) -> None:
        self.root = root
        self.models = models
        self.current: str | None = None
        """The run that was asked for last."""
        self.version = 0
        """Another number whenever anything has changed."""
        self._prepare = prepare
        self._works: dict[str, Work] = {}
        self._jobs: deque[tuple[str, Job]] = deque()
        self._at_work: str | None = None
        self._closed = False
        self._loaded: Loaded | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="abe-rerank desk", daemon=True)

    def open(self) -> None:
        """Begin to work, by loading the models."""
        self._thread.start()

    def close(self) -> None:
        """Stop what is being made, and wait until it is written."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            if self._at_work is not None:
                self._put(replace(self._works[self._at_work], state="stopping"))
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    def find(self, key: str) -> Work | None:
        """A run that is made or was just made; None for one that is only a folder."""
        return self._works.get(key)

    @property
    def at_work(self) -> Work | None:
        """The run that is being made now."""
        return None if self._at_work is None else self._works[self._at_work]

    def draw(self, order: Order) -> str:
        """Ask for a drawing, and give the name of its run. Raises UsageError for what cannot be drawn."""
        from abe_rerank.reranker import check_prompt

        check_prompt(order.prompt)
        order.sampling(order.n, order.seed)
        order.command(order.n, order.seed, order.strategy)
        with self._changed:
            key = self._new_key(order.prompt)
            self._ask(Work(key, order, order.n), lambda: self._draw(key))
        return key

    def score(self, prompt: str, pictures: Sequence[tuple[str, Path]], models: Models) -> str:
        """Ask for the scores of pictures that were there before, each with its name, and give the name of the run.

        Raises UsageError where there is no prompt or no picture.
        """
        from abe_rerank.reranker import check_prompt

        check_prompt(prompt)
        if not pictures:
            raise UsageError("there is no picture to score; drop one in")
        read = making.read_pictures(pictures)
        with self._changed:
            key = self._new_key(prompt)
            order = Order(prompt, models, n=len(pictures))
            self._ask(Work(key, order, len(pictures), drawn=False), lambda: self._score(key, read))
        return key

    def stop(self, key: str) -> None:
        """Stop a run; what is there of it is kept."""
        with self._changed:
            work = self._works.get(key)
            if work is None or not work.busy:
                return
            if key == self._at_work:
                self._put(replace(work, state="stopping"))
            else:
                self._jobs = deque(job for job in self._jobs if job[0] != key)
                self._put(replace(work, state="stopped", wanted=len(work.found)))

    def go_on(self, key: str, more: int) -> None:
        """Draw the rest of a run, or ``more`` images where all that it asked for are there.

        Raises UsageError for a run that was not drawn, and AbeRerankError for a folder that holds none.
        """
        work = self._works.get(key) or self._from_folder(key)
        if not work.drawn:
            raise UsageError("these pictures were not drawn here, so no more of them can be; type a prompt and draw")
        if work.busy:
            return
        if work.order.strategy is not None:
            if work.state != "stopped" or self._works.get(key) is None:
                raise UsageError(f"this run followed the strategy {work.order.strategy}; draw its prompt anew for more")
            work = replace(work, report=None, images={})
        wanted = work.order.n if len(work.found) < work.order.n else len(work.found) + more
        order = replace(work.order, n=wanted)
        order.sampling(wanted, order.seed)
        with self._changed:
            self._ask(replace(work, order=order, wanted=wanted, state="waiting", error=None), lambda: self._draw(key))

    def _from_folder(self, key: str) -> Work:
        from abe_rerank.runs.generated import read_generated

        report, images = read_generated(self.root / key)
        found = {c.pixels_sha256: image for c, image in zip(report.candidates, images, strict=True)}
        drawn = all(candidate.seed is not None for candidate in report.candidates)
        order = order_of(report)
        models = replace(order.models, device=self.models.device, dtype=self.models.dtype)
        order = replace(order, models=models)
        return Work(key, order, order.n if report.interrupted else len(images), "done", report, found, drawn)

    def _ask(self, work: Work, job: Job) -> None:
        busy = self._at_work is not None
        if busy and len(self._jobs) >= WAITING:
            raise UsageError("one run is being made and one waits; stop one of them, or wait")
        self._jobs.append((work.key, job))
        self.current = work.key
        self._put(work)

    def _new_key(self, prompt: str) -> str:
        from abe_rerank.runs.folders import default_folder

        name = default_folder(prompt, datetime.now(), self.root).name
        key, k = name, 1
        while key in self._works:
            k += 1
            key = f"{name}-{k}"
        return key

    def _put(self, work: Work) -> None:
        """Take a new state of a run; the lock is held."""
        done = [key for key, old in self._works.items() if not old.busy and key not in (work.key, self.current)]
        for key in done:
            del self._works[key]
        self._works[work.key] = work
        self.version += 1
        self._changed.notify_all()

    def _change(self, key: str, change: Callable[[Work], Work]) -> Work:
        """Change the state of a run from the thread that makes it; "stopping" stays until the run ends."""
        with self._changed:
            old = self._works[key]
            new = change(old)
            if old.state == "stopping" and new.busy:
                new = replace(new, state="stopping")
            self._put(new)
            return new

    def _work(self) -> None:
        from abe_rerank.parsing import parse

        try:
            parse("")  # so that the first prompt that is typed is read at once
            self._prepare()
            self._loaded = load(self.models, None, drawing=True)
        except AbeRerankError:
            self._loaded = None  # said to whoever asks for it
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._at_work, job = self._jobs.popleft()
            try:
                self._done(self._at_work, job)
            finally:
                with self._changed:
                    self._at_work = None
                    self.version += 1

    def _done(self, key: str, job: Job) -> None:
        """Do a job; whatever goes wrong is a line on the page, as on the command line."""
        try:
            job()
            error = None
        except AbeRerankError as failure:
            error = str(failure)
        except Exception as failure:
            error = f"unexpected {type(failure).__name__}: {first_line(failure)}; this is a bug in abe-rerank"
        work = self._works[key]
        try:
            save(self.root, work)
        except AbeRerankError as failure:
            error = error or str(failure)
        cut = work.state == "stopping" and (len(work.found) < work.wanted or work.order.strategy is not None)
        state: State = "failed" if error else "stopped" if cut else "done"
        wanted = len(work.found) if state == "done" else work.wanted
        self._change(key, lambda w: replace(w, state=state, error=error, wanted=wanted))

    def _load(self, key: str, *, drawing: bool) -> Loaded:
        work = self._change(key, lambda w: replace(w, state="loading"))
        self._loaded = load(work.order.models, self._loaded, drawing=drawing)
        return self._loaded

    def _draw(self, key: str) -> None:
        loaded = self._load(key, drawing=True)
        work = self._change(key, lambda w: replace(w, state="drawing"))
        draw = making.drawing(work, loaded, self.root / key)

        def take(new: making.Arrival) -> bool:
            return self._change(key, lambda w: w.with_candidates(*new)).state != "stopping"

        kept = draw(take)
        if kept is not None:
            # a page may yet ask for a draft that it has shown
            self._change(key, lambda w: replace(w, report=None).with_candidates(*kept))

    def _score(self, key: str, pictures: making.Pictures) -> None:
        loaded = self._load(key, drawing=False)
        work = self._change(key, lambda w: replace(w, state="scoring"))
        for new in making.scoring(work, pictures, loaded, self.root / key):
            if self._change(key, lambda w, new=new: w.with_candidates(*new)).state == "stopping":  # type: ignore[misc]
                return
