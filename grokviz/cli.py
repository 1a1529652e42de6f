"""The command line: finds the command, runs it, and turns what the user can mend into one line and exit code 2.

Exit codes: 0; 1 where `check` found damage; 2 for what the user can mend; 3 where the training diverged; 128 + the signal
that ended the work, so 130 for Ctrl-C and 143 for SIGTERM.

It imports nothing heavy, so that `grokviz --help` is instant; the commands themselves are in `commands.py`.
"""

import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import Any

from grokviz.errors import GrokvizError, GrokvizWarning, Interrupted
from grokviz.interrupts import signals_raised

COMMANDS = {
    "run": "Train, measure and report in one go.",
    "train": "Train a preset, keeping checkpoints over the whole run.",
    "resume": "Go on with an interrupted run, or extend a finished one.",
    "measure": "Compute every measure at every checkpoint of a run.",
    "report": "Write a run's report: one offline HTML page with all figures.",
    "figure": "Write one figure of a run as an interactive HTML file.",
    "check": "Verify every file of a run, and say what is damaged and what is still good.",
}

HELP = f"""usage: grokviz COMMAND ...

Train, measure and see grokking.

{chr(10).join(f"  {name:9}{line}" for name, line in COMMANDS.items())}

  grokviz COMMAND --help   says more
  grokviz --version        prints the version

To begin with: grokviz run quick"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help", "help"):
        print(HELP)
        return 0
    if command == "--version":
        print(f"grokviz {version('grokviz')}")
        return 0
    try:
        if command not in COMMANDS:
            near = get_close_matches(command, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(COMMANDS)}"
            raise GrokvizError(f"command {command!r} is unknown; {hint}")
        with warnings.catch_warnings(), signals_raised():
            warnings.simplefilter("always", GrokvizWarning)
            warnings.showwarning = _show_warning
            code: int = getattr(import_module("grokviz.commands"), command)(rest)
            return code
    except GrokvizError as error:
        _say(str(error))
        return 2
    except OSError as error:
        if error.filename is None:  # not about a file of the user's, so a bug
            raise
        _say(f"{error.filename} cannot be used ({error.strerror})")
        return 2
    except Interrupted as interrupt:
        _say(str(interrupt))
        return 128 + interrupt.signal_number
    except KeyboardInterrupt:
        _say("interrupted; what was complete is kept")
        return 130


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


if __name__ == "__main__":
    sys.exit(main())
