"""One page for people, one file for machines: what was made, how good it is and where it holds."""

from mlip_autopipec.report.page import write_report
from mlip_autopipec.report.summary import Summary

__all__ = ["Summary", "write_report"]
