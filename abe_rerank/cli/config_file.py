"""``--config FILE``: the options of a command from a TOML file, where the command line does not give them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from abe_rerank.cli.options import OUTPUT
from abe_rerank.errors import UsageError, first_line
from abe_rerank.suites.rows import read_text


def _take_from_file(context: typer.Context, file: Path | None) -> Path | None:
    """Make what a TOML file says the defaults of the command's options, so that the command line wins.

    Raises UsageError for a file that cannot be read, and for names that the command does not have, listing its own.
    """
    if file is None:
        return None
    entries = entries_of(file)
    options = {
        opt[2:]: p for p in context.command.params for opt in p.opts if opt.startswith("--") and opt != "--config"
    }
    given = {name.replace("_", "-"): value for name, value in entries.items()}
    if unknown := sorted(set(given) - set(options)):
        raise UsageError(f"--config {file}: there is no {unknown[0]}; there are {', '.join(sorted(options))}")
    for name, value in given.items():
        if isinstance(value, bool) and not getattr(options[name], "is_flag", False):
            raise UsageError(f"--config {file}: {name} is no yes or no, got {str(value).lower()}")
    context.default_map = {str(options[name].name): _default(file, name, value) for name, value in given.items()}
    return file


def entries_of(file: Path) -> dict[str, Any]:
    """What a TOML file says. Raises UsageError for one that cannot be read."""
    try:
        return tomllib.loads(read_text(file))
    except UsageError as error:
        raise UsageError(f"--config {error}") from None
    except RecursionError:
        raise UsageError(f"--config {file} cannot be read as TOML: it is nested too deeply") from None
    except ValueError as error:
        why = "a number of more digits than can be read" if "digits" in str(error) else first_line(error)
        raise UsageError(f"--config {file} cannot be read as TOML: {why}") from None


def _default(file: Path, name: str, value: Any) -> Any:
    """The value of an entry as the option takes it; [set] is a table of arguments, lora a text or a list of texts."""
    if name == "set" and isinstance(value, dict):
        return [f"{key}={one if isinstance(one, str) else json.dumps(one)}" for key, one in value.items()]
    if name in ("lora", "slice"):
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
    elif name != "set" and isinstance(value, (str, int, float)):
        return value
    kind = {"set": "a table, [set]", "lora": "a text or a list of texts", "slice": "a text or a list of texts"}.get(
        name, "one text, number, true or false"
    )
    raise UsageError(f"--config {file}: {name} must be {kind}")


Config = Annotated[
    Path | None,
    typer.Option(
        is_eager=True,
        callback=_take_from_file,
        help="TOML file with any of these options by name (batch-size = 4), and a table [set]; the command line wins.",
        show_default="none",
        rich_help_panel=OUTPUT,
    ),
]
