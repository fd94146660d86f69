"""Starting structures of any material: parents from several sources, and what generators make of them."""

from mlip_autopipec.structures.cells import supercell
from mlip_autopipec.structures.generate import generate, merge
from mlip_autopipec.structures.parents import merge_parents, relax_source
from mlip_autopipec.structures.reference import isolated_atoms, reference_series
from mlip_autopipec.structures.task import Task

__all__ = [
    "Task",
    "generate",
    "isolated_atoms",
    "merge",
    "merge_parents",
    "reference_series",
    "relax_source",
    "supercell",
]
