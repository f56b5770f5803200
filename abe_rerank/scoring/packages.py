"""Scorers that other installed packages offer: found by their entry points, imported only when one is used.

A package may be broken in any way, and breaks nothing but its own scorers: each fault is one line that names it.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module, metadata
from typing import Any

from abe_rerank.errors import AbeRerankError, first_line
from abe_rerank.files import printable

log = logging.getLogger(__name__)

GROUP = "abe_rerank.scorers"
"""The entry point group of scorers in other packages."""

_NAME = re.compile(r"\w[\w.-]{0,63}")


def offered() -> Iterator[tuple[str, str, str]]:
    """(name, "module:Class", package) of each scorer that installed packages offer; a name that cannot stand behind
    ``--scorer``, and a package whose entry points cannot be read, are left out, and the log says so.
    """
    for point in _points():
        package = _package_of(point)
        if _NAME.fullmatch(point.name):
            yield point.name, point.value, package
        else:
            log.warning("the scorer %.80r of the package %s is left out: it is no name", point.name, package)


def _points() -> list[metadata.EntryPoint]:
    try:
        return list(metadata.entry_points(group=GROUP))
    except Exception:  # one package is enough for it: look at each alone
        found: list[metadata.EntryPoint] = []
    for package in metadata.distributions():
        try:
            found += [point for point in package.entry_points if point.group == GROUP]
        except Exception as error:
            log.warning("scorers of a package cannot be read (%s): %.200r", first_line(error), package)
    return found


def _package_of(point: metadata.EntryPoint) -> str:
    try:
        return printable(str(point.dist.name)) if point.dist is not None else "another package"
    except Exception:  # its METADATA is missing or broken
        return "another package"


def class_at(home: str) -> Any:
    """The class at "module:Class". Raises TypeError for what is no scorer, and whatever the import raises."""
    module, _, attribute = home.partition(":")
    kind: Any = import_module(module)
    for part in attribute.split("."):
        kind = getattr(kind, part)
    if not isinstance(kind, type) or not hasattr(kind, "explain_features") or not hasattr(kind, "settings_type"):
        raise TypeError(f"{home} is no scorer: subclass abe_rerank.scoring.stream.FeatureScorer")
    return kind


@contextmanager
def named_where_it_fails(name: str, package: str) -> Iterator[None]:
    """What goes wrong in making a scorer of a package becomes an AbeRerankError that names it and the package, and what
    it prints goes to stderr; a package of "" is our own, whose errors stay as they are.
    """
    if not package:
        yield
        return
    try:
        with redirect_stdout(sys.stderr):
            yield
    except AbeRerankError:
        raise
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise AbeRerankError(
            f"the scorer {name!r} of the package {package} cannot be used ({why}); update or uninstall it"
        ) from error
