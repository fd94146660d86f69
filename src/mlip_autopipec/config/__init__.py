"""From one line to a validated configuration. Loads neither torch nor numba nor scipy: a dry run must be quick."""

from mlip_autopipec.config.dump import inferred_summary, write_dump
from mlip_autopipec.config.expand import Choice, expand
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.plan import walker_names

__all__ = ["Choice", "Config", "expand", "inferred_summary", "walker_names", "write_dump"]
