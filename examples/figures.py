"""Use 3 of 3: interactive figures, one by one and all together as one offline page."""

from pathlib import Path

import grokviz


def main(directory: Path) -> Path:
    """Draw the measured run in `directory`; write two figures and the report into it."""
    run = grokviz.open_run(directory)
    measurements = run.measurements

    losses = grokviz.figures.losses(measurements)  # a plotly Figure: .show() it in a notebook
    losses.write_html(directory / "losses.html")
    halfway = run.epochs[len(run.epochs) // 2]
    grokviz.figures.token_geometry(measurements, halfway).write_html(directory / "token_geometry.html")

    phases = grokviz.find_phases(measurements)
    print(f"grokked {phases.grokked}" if phases.grokked else f"not yet: {'; '.join(phases.not_yet)}")

    report = grokviz.write_report(run)
    print(f"all figures, on a page in which training is scrubbed: {report}")
    return report


if __name__ == "__main__":
    main(Path("runs/example"))
