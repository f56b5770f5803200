"""Models by a hub name, ``owner/name`` or ``owner/name@revision``: from the local cache, else from the hub."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from abe_rerank.errors import AbeRerankError, UsageError

_NAME = re.compile(r"(?P<name>[\w-][\w.-]*(?:/[\w.-]+)?)(?:@(?P<revision>[\w./-]+))?")
_PATIENCE = 2.0
"""Seconds that the hub has for its first answer."""


def split_revision(name: str) -> tuple[str, str | None] | None:
    """(name, revision) of ``owner/name@revision``; the revision is None if not said, the whole for what is no name."""
    match = _NAME.fullmatch(name)
    return (match["name"], match["revision"]) if match else None


def fetched(name: str, what: str, get: Callable[[bool], Path]) -> Path:
    """The local folder of a hub model by ``get(local only)``, tried on the cache alone and then on the hub.

    Raises UsageError, within a few seconds, where the cache does not hold the model and the hub does not give it.
    """
    try:
        return get(True)
    except UsageError as known:
        if not answers():
            raise known from None
    except Exception:
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
