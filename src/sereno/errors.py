"""The errors that a user can cause and can mend."""


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message is written for the user: it names the file or option, the variable, and what to do. The
    command line prints it without a traceback and exits with 2.
    """


class PausedError(Exception):
    """A run was asked to make way before it was done, and left what it can be resumed from."""
