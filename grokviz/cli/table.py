"""The one table of commands: help, README and completion are made of it. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command of the command line. Its function in `commands.py` has its name; the function's argument says the flags."""

    name: str
    usage: str
    summary: str
    example: str
    """A call of it, for the README."""


COMMANDS = (
    Command("run", "run [PRESET]", "Train, measure and report in one go.", "grokviz run quick"),
    Command(
        "train",
        "train [PRESET]",
        "Train a preset, saving checkpoints throughout the run.",
        "grokviz train --out runs/mine",
    ),
    Command(
        "resume",
        "resume RUN",
        "Continue an interrupted run, or extend a finished one.",
        "grokviz resume runs/mine --epochs 60000",
    ),
    Command(
        "import",
        "import FILE...",
        "Make published checkpoints a run: layout, task and split are found.",
        "grokviz import model.pt --out runs/published",
    ),
    Command(
        "measure", "measure RUN", "Compute every measure at every checkpoint of a run.", "grokviz measure runs/mine"
    ),
    Command(
        "ablate",
        "ablate RUN",
        "Remove or keep parts of a run's networks, and lay what comes out beside controls.",
        "grokviz ablate runs/mine --remove 3,7 --at neurons",
    ),
    Command(
        "report",
        "report RUN",
        "Write a run's report: one offline HTML page with all figures.",
        "grokviz report runs/mine",
    ),
    Command(
        "watch",
        "watch RUN",
        "Serve a run's report on this machine while it trains, new as checkpoints come.",
        "grokviz watch runs/mine",
    ),
    Command(
        "measurements",
        "measurements RUN",
        "Print what was measured as a table: a row for each checkpoint, as CSV or Parquet.",
        "grokviz measurements runs/mine --csv > mine.csv",
    ),
    Command(
        "figure",
        "figure RUN NAME",
        "Write one figure of a run, or all of them, as an interactive page or an image.",
        "grokviz figure runs/mine token_circles --epoch 12000 -o circles.html",
    ),
    Command(
        "compare",
        "compare RUN RUN ...",
        "Write a page that shows several runs beside each other, or their differences as CSV.",
        "grokviz compare runs/mine runs/quick -o compare.html",
    ),
    Command(
        "study",
        "study FILE",
        "Train and measure many runs as one object: axes over any field, crossed.",
        "grokviz study decay.toml --out studies/decay",
    ),
    Command(
        "export",
        "export RUN",
        "Write a network of a run for other code: TransformerLens, the progress-measures code, a model hub.",
        "grokviz export runs/mine --format transformer-lens-4 -o mine.pt",
    ),
    Command(
        "verify",
        "verify RUN",
        "Hold published values of a network against ours, one by one.",
        "grokviz verify runs/published --against summary_metrics.json",
    ),
    Command(
        "check",
        "check RUN",
        "Verify every file of a run, and say what is damaged and what is still good.",
        "grokviz check runs/mine",
    ),
    Command(
        "completion",
        "completion SHELL",
        "Print a completion script for bash or zsh.",
        "grokviz completion bash > ~/.local/share/bash-completion/completions/grokviz",
    ),
)


def help_text() -> str:
    """What `grokviz --help` prints."""
    width = max(len(command.name) for command in COMMANDS) + 2
    lines = "\n".join(f"  {command.name:{width}}{command.summary}" for command in COMMANDS)
    return f"""usage: grokviz COMMAND ...

Train, measure and see grokking.

{lines}

  grokviz COMMAND --help   says more
  grokviz --version        prints the version

To begin: grokviz run quick"""


def with_commands(readme: str) -> str:
    """`readme` with the table of commands between its two marks."""
    begin, end = readme.index("<!-- commands"), readme.index("<!-- end of commands -->")
    mark = readme[begin:].split("\n", 1)[0]
    rows = "\n".join(f"| `grokviz {command.usage}` | {command.summary} | `{command.example}` |" for command in COMMANDS)
    return f"{readme[:begin]}{mark}\n| command | what it does | example |\n|---|---|---|\n{rows}\n{readme[end:]}"
