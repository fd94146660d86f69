"""From one line to a validated configuration. Loads neither torch nor numba nor scipy: a dry run must be quick."""

from mlip_autopipec.config.cautions import cautions
from mlip_autopipec.config.choice import Choice
from mlip_autopipec.config.dump import inferred_summary, write_dump
from mlip_autopipec.config.expand import expand, expand_with_data
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.own_data import DATA_KEYS, DataConfig, DataTraining, decided
from mlip_autopipec.config.own_data import files_of as own_data_files
from mlip_autopipec.config.plan import walker_names
from mlip_autopipec.config.pseudopotentials import missing_pseudopotentials
from mlip_autopipec.config.walks import md_walks, walk_plans

__all__ = [
    "DATA_KEYS",
    "Choice",
    "Config",
    "DataConfig",
    "DataTraining",
    "cautions",
    "decided",
    "expand",
    "expand_with_data",
    "inferred_summary",
    "md_walks",
    "missing_pseudopotentials",
    "own_data_files",
    "walk_plans",
    "walker_names",
    "write_dump",
]
