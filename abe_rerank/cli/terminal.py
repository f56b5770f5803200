"""What the commands share with the terminal: results on stdout, notes on stderr, the libraries quiet."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from abe_rerank.errors import AbeRerankError
from abe_rerank.files import printable, readable


def say(text: str) -> None:
    """Write a result to stdout; what its encoding lacks becomes an escape such as ``\\xff``, never a ``?``."""
    encoding = _encoding()
    _put(readable(text).encode(encoding, errors="backslashreplace").decode(encoding) + "\n")


def say_json(text: str) -> None:
    """Write JSON to stdout; a character that is a control, half a character, or not in the encoding is escaped.

    Such characters stand in JSON only within strings, where ``\\u009b`` means the same; line breaks stay.
    """
    encoding = _encoding()
    escaped = "".join(c if c == "\n" or _is_plain(c, encoding) else _json_escape(c) for c in text)
    _put(escaped + "\n")


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _put(text: str) -> None:
    """Write to stdout, through to where that goes. Raises AbeRerankError where it cannot be written."""
    if sys.stdout is None:
        raise AbeRerankError("standard output is closed, so that no result can be written; send it to a file or a pipe")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with suppress(OSError):
            sys.stdout.close()  # what is left in it would fail again at the end
        raise AbeRerankError(
            f"cannot write the results: {error.strerror or error}; check where standard output goes, and the free space"
        ) from None


def tell(text: str, as_json: bool) -> None:
    """Write a result to stdout that is JSON or not, as :func:`say_json` or :func:`say` does."""
    (say_json if as_json else say)(text)


def note(text: str) -> None:
    """Write one line to stderr; a progress bar that is shown there makes way for it."""
    bars = sys.modules.get("tqdm")
    with bars.tqdm.external_write_mode(file=sys.stderr) if bars else nullcontext():
        sys.stderr.write(printable(text) + "\n")


def warn(text: str) -> None:
    """Write a warning to stderr."""
    note(f"warning: {text}")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Warnings to the user become notes of one line; those of the libraries, about their own code, stay as they are."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is UserWarning:
                warn(str(message))
            else:
                shown(message, category, *place, **more)

        warnings.showwarning = show
        yield


def cosine(value: float | None) -> str:
    """A cosine or difference of cosines with its sign, or a dash."""
    return "-" if value is None else f"{value:+.3f}"


def _is_plain(character: str, encoding: str) -> bool:
    if not character.isprintable():
        return False
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _json_escape(character: str) -> str:
    """``\\uXXXX``, as two of them where a character is outside of the first plane."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Add the seconds that the block takes to those of ``what``, if it ends well."""
    start = time.perf_counter()
    yield
    seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - start


def quiet_libraries() -> None:
    """Silence warnings of diffusers and transformers, unless ``--debug`` asks for them.

    Their bars are left as they are: loading hushes them, and a user's switch counts for ours too.
    """
    if logging.getLogger("abe_rerank").isEnabledFor(logging.DEBUG):
        return
    import diffusers
    import huggingface_hub
    import transformers

    warnings.filterwarnings("ignore", category=FutureWarning)
    huggingface_hub.utils.logging.set_verbosity_error()
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()


def step(bar: object, text: str) -> None:
    """Move a bar on by one and name what comes now."""
    update: Callable[[], object] = bar.update  # type: ignore[attr-defined]
    update()
    bar.set_description_str(text)  # type: ignore[attr-defined]
