"""``abe-rerank doctor``: what of a run is whole, what is missing, changed or damaged; and its mending."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from abe_rerank.cli.options import Run
from abe_rerank.cli.terminal import say
from abe_rerank.errors import AbeRerankError
from abe_rerank.files import printable, readable

if TYPE_CHECKING:
    from abe_rerank.runs.doctor import Checkup

Mend = Annotated[
    bool, typer.Option("--mend", help="Remove what is damaged, so that the run's own command does only that again.")
]


def doctor(folder: Run, mend: Mend = False) -> None:
    """Say what of a run is whole and what is missing, changed or damaged; exit code 1 if something is.

    Of a run of generate that was killed, the images that are drawn are in a hidden folder, .NAME.drawn-KEY beside the
    run's own or runs/.drawn-KEY: give either of them.
    """
    from abe_rerank.runs.doctor import examine_all
    from abe_rerank.runs.doctor import mend as run

    checkups = examine_all(folder)
    say("\n".join(map(account, checkups)))
    ill = [checkup for checkup in checkups if checkup.findings]
    if not ill:
        return
    if mend:
        for checkup in ill:
            run(checkup)
            say(f"mended as far as it goes; {next_step(checkup)}")
        return
    count = sum(len(checkup.findings) for checkup in ill)
    amiss = "1 thing is" if count == 1 else f"{count} things are"
    raise AbeRerankError(
        f"{amiss} not whole in {readable(folder)}; abe-rerank doctor --mend {shlex.quote(readable(folder))} mends it"
    )


def account(checkup: Checkup) -> str:
    """What is whole, a line for each thing that is not, and how to go on with what is being drawn."""
    lines = [f"whole: {checkup.results} results, {checkup.pictures} pictures"]
    if checkup.asked is not None:
        of = f" of {checkup.asked}" if checkup.asked else ""
        lines = [f"not written yet, in {readable(checkup.folder)}: {checkup.results}{of} images"]
        lines += [] if checkup.findings else [f"to go on: {printable(checkup.command)}"]
    lines += [f"{finding.illness}: {printable(finding.what)}" for finding in checkup.findings]
    return "\n".join(lines)


def next_step(checkup: Checkup) -> str:
    """What to run for what cannot be mended by taking away."""
    if checkup.is_lost:
        return "what was drawn is removed, as nothing says what it is; start the run's own command again"
    if checkup.report is None:
        return f"start the run's own command again: {printable(checkup.command)}"
    folder = shlex.quote(readable(checkup.folder))
    if any(finding.what.startswith("candidates/") for finding in checkup.findings):
        return f"the run's own command draws its images again, into a new folder: {printable(checkup.command)}"
    return f"abe-rerank report {folder} makes its page and figures again"
