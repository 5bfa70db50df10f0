"""What can go wrong, in words a user can act on. Only ``cli.py`` turns them into exit codes."""


class VidsalError(Exception):
    """The world did not play along: one line that says what failed and what to do about it."""


class UsageError(VidsalError, ValueError):
    """An argument is wrong: the line names the argument, what was expected and what came."""
