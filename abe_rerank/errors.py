"""The errors a user can cause; the command line shows them as one line."""


class AbeRerankError(Exception):
    """Something failed, with a message that names the thing and the way out. Exit code 1."""


class UsageError(AbeRerankError, ValueError):
    """The input cannot be used as given. Exit code 2."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
