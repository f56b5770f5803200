"""``python -m abe_rerank.shapes.training NAME``: trains one of the built-in models, or the oracle, or measures one."""

from __future__ import annotations

import importlib
import sys

import typer

MODULES = {
    "clip": "clip",
    "vae": "vae",
    "text-to-image": "text_to_image",
    "second-course": "second_course",
    "drawn-right": "drawn_right",
    "oracle": "oracle_training",
    "proving": "proving",
    "power-clip": "power_clip",
}


def main() -> None:
    """Imports the module of the named model and runs its ``main`` on the remaining arguments."""
    names = ", ".join(MODULES)
    if len(sys.argv) < 2 or sys.argv[1] not in MODULES:
        asks_help = sys.argv[1:] in ([], ["--help"])
        typer.echo(
            f"usage: python -m abe_rerank.shapes.training NAME [OPTIONS], where NAME is one of: {names}",
            err=not asks_help,
        )
        raise SystemExit(0 if asks_help else 2)
    name = sys.argv.pop(1)
    module = importlib.import_module(f"abe_rerank.shapes.training.{MODULES[name]}")
    typer.run(module.main)


if __name__ == "__main__":
    main()
