"""Models of a hub: their names, and their files from the local cache or from the hub."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from abe_rerank.errors import AbeRerankError, UsageError

_NAME = re.compile(r"(?P<name>[\w-][\w.-]*(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")
_PATIENCE = 2.0
"""Seconds that the hub has for its first answer."""


@dataclass(frozen=True)
class Hub:
    """How a model is got from a hub, in the words of huggingface_hub, whose own choice None is.

    ``revision`` is a branch, tag or commit, ``cache_dir`` the folder where models are kept; with ``local_files_only``
    the hub is not asked. ``token`` opens models that are not public: the token, True for the saved one, False for none.
    """

    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    token: str | bool | None = field(default=None, repr=False)


def split_revision(name: str) -> tuple[str, str | None] | None:
    """(name, revision) of ``owner/name@revision``; the revision is None if not said, the whole for what is no name."""
    match = _NAME.fullmatch(name)
    return (match["name"], match["revision"]) if match else None


def at_revision(model: str | Path | None, revision: str | None) -> str | Path | None:
    """The model's name with its revision. Raises UsageError where it has one already, or cannot have one."""
    if revision is None:
        return model
    known = None if model is None or os.path.lexists(model) else split_revision(str(model))
    if known is None or known[1] is not None:
        raise UsageError(
            f"a revision is that of a hub id owner/name, not of {model or 'the built-in model'}; leave it out"
        )
    return f"{model}@{revision}"


def fetched(name: str, what: str, get: Callable[[bool], Path], local_only: bool = False) -> Path:
    """The local folder of a hub model by ``get(local only)``, tried on the cache alone and then on the hub.

    Raises UsageError, within a few seconds, where the cache does not hold the model and the hub does not give it, or
    is not to be asked, with ``local_only``.
    """
    try:
        return get(True)
    except UsageError as known:
        if local_only or not answers():
            raise known from None
    except Exception:
        if local_only:
            raise UsageError(
                f"no {what} called {name!r}: no such folder, and not in the local cache; leave out local_files_only to "
                "ask the model hub, or name another cache_dir"
            ) from None
        if not answers():
            raise UsageError(
                f"no {what} called {name!r}: no such folder, not in the local cache, and the model hub cannot be "
                "reached; give a folder, or nothing for the built-in one"
            ) from None
    try:
        return get(False)
    except AbeRerankError:
        raise
    except Exception as error:
        raise UsageError(
            f"no {what} called {name!r}: no such folder, and neither the local cache nor the model hub gives it "
            f"({type(error).__name__}); give a folder, a hub name, or nothing for the built-in one"
        ) from error


def answers() -> bool:
    """Whether the model hub says anything at all within :data:`_PATIENCE` seconds; never where it is switched off."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    heard = threading.Event()

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
        except Exception:
            return
        heard.set()

    asking = threading.Thread(target=ask, daemon=True)  # since a name look-up knows no time limit of its own
    asking.start()
    asking.join(_PATIENCE)
    return heard.is_set()
