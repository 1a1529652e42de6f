"""The report: measurements and a run, as one self-contained HTML page."""

from grokviz.report.render import render_report, write_report

__all__ = ["render_report", "write_report"]
