"""The report: measurements and a run, as one self-contained HTML page; and several runs on one."""

from grokviz.report.comparison import render_comparison, write_comparison
from grokviz.report.render import render_report, write_report

__all__ = ["render_comparison", "render_report", "write_comparison", "write_report"]
