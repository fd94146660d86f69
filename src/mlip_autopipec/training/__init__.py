"""From a dataset to a potential."""

from mlip_autopipec.training.trainer import check_trainer, train

__all__ = ["check_trainer", "train"]
