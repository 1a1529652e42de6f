"""The one exception of grokviz: something that the user can mend."""


class GrokvizError(Exception):
    """Input that grokviz cannot work with.

    The message is one line: what is wrong, the value got, and what to do. The command line prints it and exits with
    code 2. A bug in grokviz itself is never a `GrokvizError`, so it keeps its traceback.
    """
