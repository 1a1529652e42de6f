"""The crash that tests inject. In a file of its own, so that every test file can name it."""


class CrashError(Exception):
    """Ends a training in a test, as a crash would."""
