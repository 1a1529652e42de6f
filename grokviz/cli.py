"""The command line: finds the command, runs it, and turns what the user can mend into one line and exit code 2.

It imports nothing heavy, so that `grokviz --help` is instant; the commands themselves are in `commands.py`.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

from grokviz.errors import GrokvizError

COMMANDS = {
    "run": "Train, measure and report in one go.",
    "train": "Train a preset, keeping checkpoints over the whole run.",
    "measure": "Compute every measure at every checkpoint of a run.",
    "report": "Write a run's report: one offline HTML page with all figures.",
    "figure": "Write one figure of a run as an interactive HTML file.",
}

HELP = f"""usage: grokviz COMMAND ...

Train, measure and see grokking.

{chr(10).join(f"  {name:9}{line}" for name, line in COMMANDS.items())}

  grokviz COMMAND --help   says more
  grokviz --version        prints the version

To begin with: grokviz run quick"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 2 for what the user can mend, 130 if interrupted."""
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
        getattr(import_module("grokviz.commands"), command)(rest)
    except GrokvizError as error:
        print(f"grokviz: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:  # not about a file of the user's, so a bug
            raise
        print(f"grokviz: {error.filename} cannot be used ({error.strerror})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("grokviz: interrupted; what was complete is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
