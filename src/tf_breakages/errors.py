"""The one error our own machinery raises: what went wrong, and what to do about it."""


class MachineryError(Exception):
    """A failure of tf-breakages itself, never of the program it ran.

    A pin that is not installed, a worker that does not start, a full disk: such a failure is red in
    every front end (command line, kernel, nbval) and is never recorded as an outcome.
    """

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause}\n{remedy}" if remedy else cause)
        self.cause = cause
        self.remedy = remedy
