"""The command line: finds the command, runs it, and turns what the user can put right into one line and exit code 2.

Exit codes: 0; 1 where `check` found damage; 2 for what the user can put right; 3 where the training diverged; 128 + the
signal that ended the work, so 130 for Ctrl-C and 143 for SIGTERM.

It imports nothing heavy, so that `grokviz --help` is instant; the commands themselves are in `commands.py`.
"""

import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import Any

from grokviz.cli.table import COMMANDS, help_text
from grokviz.errors import GrokvizError, GrokvizWarning, Interrupted, on_the_command_line, shortage
from grokviz.training.signals import signals_raised

CLOSED_PIPE = 128 + 13
"""Exit code where who reads what is printed has gone: that of a program that SIGPIPE ends."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = _called(name, rest)
        sys.stdout.flush()
        return code
    except GrokvizError as error:
        _say(str(error))
        return 2
    except BrokenPipeError:  # who read what is printed has read enough
        with suppress(BrokenPipeError):  # or Python would complain at its end
            sys.stdout.close()
        return CLOSED_PIPE
    except OSError as error:
        if error.filename is None:  # not about a file of the user's, so a bug
            raise
        _say(f"{error.filename} cannot be used ({error.strerror})")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not (said := shortage(error)):
            raise
        _say(said)
        return 2
    except Interrupted as interrupt:
        _say(str(interrupt))
        return 128 + interrupt.signal_number
    except KeyboardInterrupt:
        _say("interrupted; everything completed so far is kept")
        return 130


def _called(name: str, rest: Sequence[str]) -> int:
    """What comes of the command called `name`, or of a question for help or the version.

    Raises:
        GrokvizError: there is no such command, or what it raises.
    """
    if name in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if name == "--version":
        print(f"grokviz {version('grokviz')}")
        return 0
    command = {command.name: command for command in COMMANDS}.get(name)
    if command is None:
        names = [command.name for command in COMMANDS]
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(names)}"
        raise GrokvizError(f"command {name!r} is unknown; {hint}")
    with warnings.catch_warnings(), signals_raised(), on_the_command_line():
        warnings.simplefilter("always", GrokvizWarning)
        # Of networks whose numbers are too large: the figures show them as they are.
        warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
        warnings.showwarning = _show_warning
        code: int = import_module("grokviz.cli.commands").call(command, rest)
        return code


def _say(message: str) -> None:
    """One line on stderr. A name from somewhere else may hold what a terminal would obey; it is shown, not sent."""
    print("grokviz:", "".join(c if c.isprintable() else repr(c)[1:-1] for c in message), file=sys.stderr)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    _say(str(message) if category is GrokvizWarning else warnings.formatwarning(message, category, filename, lineno))
