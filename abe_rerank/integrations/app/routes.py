"""What browsers may ask of the desk beside the page itself: what there is to see, pictures, stopping and going on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from abe_rerank.errors import AbeRerankError
from abe_rerank.integrations.app import shelf, stage
from abe_rerank.integrations.app.guard import REPORT_POLICY

if TYPE_CHECKING:
    from starlette.requests import Request

    from abe_rerank.integrations.app.desk import Desk
    from abe_rerank.integrations.app.works import Work

PATIENCE = 20.0
"""Seconds that a look waits for news at most."""

BREATH = 0.03
"""Seconds between two looks at whether there is news."""

LONGEST = 2**16
"""The most bytes of what is asked of the desk."""

MOST_MORE = 1000
"""The most images that are drawn on asking once for more."""

Answer = Callable[["Request"], Awaitable[Response]]


def routes_of(desk: Desk) -> list[Route]:
    """The routes of a desk."""

    async def look(request: Request) -> Response:
        known, run = request.query_params.get("version", ""), request.query_params.get("run", "")
        for _ in range(round(PATIENCE / BREATH)):
            if str(desk.version) != known or await request.is_disconnected():
                break
            await asyncio.sleep(BREATH)
        return JSONResponse(await run_in_threadpool(seen, desk, run))

    async def runs(_: Request) -> Response:
        found = await run_in_threadpool(shelf.past_runs, desk.root)
        return JSONResponse([vars(run) for run in found])

    async def picture(request: Request) -> Response:
        work = desk.find(request.path_params["run"])
        image = None if work is None else work.images.get(request.path_params["sha"])
        if image is None:
            return JSONResponse({"error": "there is no such picture"}, 404)
        file = BytesIO()
        image.save(file, format="PNG", compress_level=1)
        return Response(file.getvalue(), media_type="image/png", headers={"cache-control": "private, max-age=86400"})

    async def file(request: Request) -> Response:
        path, kind = shelf.run_file(desk.root, request.path_params["run"], request.path_params["path"])
        headers = {"content-security-policy": REPORT_POLICY, "cache-control": "no-cache"}
        return FileResponse(path, media_type=kind, headers=headers)

    async def stop(request: Request) -> Response:
        desk.stop(str((await _asked(request)).get("run", "")))
        return JSONResponse({})

    async def go_on(request: Request) -> Response:
        asked = await _asked(request)
        key, more = str(asked.get("run", "")), asked.get("more")
        if desk.find(key) is None:
            shelf.run_folder(desk.root, key)
        await run_in_threadpool(desk.go_on, key, min(more, MOST_MORE) if type(more) is int and more > 0 else 4)
        return JSONResponse({})

    return [
        Route("/abe/look", _said(look)),
        Route("/abe/runs", _said(runs)),
        Route("/abe/runs/{run}/{path:path}", _said(file)),
        Route("/abe/picture/{run}/{sha}.png", _said(picture)),
        Route("/abe/stop", _said(stop), methods=["POST"]),
        Route("/abe/go-on", _said(go_on), methods=["POST"]),
    ]


def seen(desk: Desk, run: str) -> dict[str, Any]:
    """What a page shows that looks at a run, "" for the one that was asked for last."""
    version, now = desk.version, desk.at_work
    key = run or desk.current or ""
    busy = None if now is None else {"run": now.key, "prompt": now.order.prompt, "status": stage.status(now)}
    found: dict[str, Any] = {
        "version": version,
        "run": key,
        "busy": busy,
        "error": None,
        "state": "nothing",
        "html": "",
    }
    try:
        work = desk.find(key)
        if work is not None:
            return found | _of_work(work, desk)
        return found | (_of_folder(desk, key) if key else {})
    except AbeRerankError as error:
        return found | {"error": str(error)}


def _of_work(work: Work, desk: Desk) -> dict[str, Any]:
    report, folder = work.report, desk.root / work.key
    saved = not work.busy and report is not None
    return {
        "prompt": work.order.prompt,
        "state": work.state,
        "status": stage.status(work),
        "error": work.error,
        "wanted": work.wanted,
        "drawn": work.drawn,
        "more": work.drawn and work.order.strategy is None,
        "keys": [_key(c.seed, c.pixels_sha256, work.order.strategy is not None) for c in work.found],
        "html": "" if report is None else str(stage.run(report, stage.source_of_work(work))),
        "command": None if report is None else report.commands.run,
        "show": f"abe-rerank show {folder}" if saved else None,
        "page": f"abe/runs/{work.key}/report.html" if saved else None,
    }


def _of_folder(desk: Desk, key: str) -> dict[str, Any]:
    from abe_rerank.runs.generated import read_report

    folder = shelf.run_folder(desk.root, key)
    report = read_report(folder)
    count, settings = len(report.candidates), report.settings
    wanted = settings["n"] if report.interrupted and isinstance(settings.get("n"), int) else count
    drawn = all(candidate.seed is not None for candidate in report.candidates)
    told = count if wanted == count else f"stopped: {count} of {wanted}"
    return {
        "prompt": report.prompt,
        "state": "stopped" if wanted != count else "done",
        "status": f"{told} {'drawn and scored' if drawn else 'scored'}, {report.created[:16].replace('T', ' ')}",
        "wanted": wanted,
        "drawn": drawn,
        "more": drawn and "strategy" not in settings,
        "keys": [_key(c.seed, c.pixels_sha256, "strategy" in settings) for c in report.candidates],
        "html": str(stage.run(report, stage.source_of_run(folder))),
        "command": report.commands.run,
        "show": f"abe-rerank show {folder}",
        "page": f"abe/runs/{key}/report.html" if (folder / "report.html").is_file() else None,
    }


def _key(seed: int | None, sha: str, strategy: bool) -> str:
    """What tells a candidate of a run from the others, whatever its rank; a strategy may draw several from a seed."""
    return sha if seed is None or strategy else f"seed {seed}"


async def _asked(request: Request) -> dict[str, Any]:
    try:
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > LONGEST:
                return {}
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(answer: Answer) -> Answer:
    """The answer, or the line that says why there is none."""

    async def say(request: Request) -> Response:
        try:
            return await answer(request)
        except AbeRerankError as error:
            return JSONResponse({"error": str(error)}, 400)

    return say
