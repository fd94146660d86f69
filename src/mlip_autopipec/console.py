"""What a person sees of a run, and how a job speaks: logs, locks, first and last lines."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlip_autopipec.config.classify import classify
from mlip_autopipec.config.full import Config, Training
from mlip_autopipec.config.own_data import DataConfig
from mlip_autopipec.config.pseudopotentials import missing_pseudopotentials
from mlip_autopipec.errors import ConfigurationFault, MlipError
from mlip_autopipec.processes import die_with_parent

_NAME = re.compile(r'(?:^|\s)name="?([A-Za-z0-9]+)"?')
_UID = re.compile(r'(?:^|\s)uid="?([A-Za-z0-9]+)"?')
_QUOTED = re.compile(r'"[^"]*[ =][^"]*"')  # free text, which may say anything
_locks: list[IO[str]] = []


def frame_names(path: str | os.PathLike[str]) -> list[str]:
    """Names (or else uids) of the frames in an extended XYZ file, read from its comment lines alone."""
    names: list[str] = []
    with open(path, encoding="utf-8") as handle:
        while count := handle.readline().strip():
            comment = _QUOTED.sub("", handle.readline())
            found = _NAME.search(comment) or _UID.search(comment)
            if not found:
                raise MlipError(f"{path}: frame {len(names)} has neither name nor uid. Delete the file and run again.")
            names.append(found.group(1))
            for _ in range(int(count)):
                handle.readline()
    return names


def lock_run(folder: str | os.PathLike[str]) -> None:
    """Hold `folder`/.lock until this process ends, however it ends.

    Raises:
        MlipError: another process holds it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = open(Path(folder) / ".lock", "w", encoding="utf-8")  # noqa: SIM115 - held until the process ends
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MlipError(
            f"{folder} is being written by another run. Wait for it, or give this one another 'run' name."
        ) from None
    except OSError as error:
        print(f"Warning: {folder} cannot be locked ({error}): do not start two runs at once there.", file=sys.stderr)
    _locks.append(handle)


@contextmanager
def job(log: str | os.PathLike[str]) -> Iterator[None]:
    """Run a job's body with all output in its log; a user's mistake ends it with one message, not a traceback."""
    die_with_parent()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8", buffering=1) as handle:
        sys.stdout = sys.stderr = handle
        try:
            yield
        except MlipError as error:
            print(f"Error: {error}", file=handle)
            sys.exit(1)
        except Exception:
            traceback.print_exc(file=handle)
            print("This is a fault of the program, not of your input: please report it with this log.", file=handle)
            sys.exit(1)
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def check_labelling(config: Config) -> None:
    """Look for the DFT program and its files before the first job.

    Raises:
        ConfigurationFault: some of them are missing; all that are missing are named.
    """
    from mlip_autopipec.labelling.campaign import make_labeller  # slow to import, and not needed for a dry run

    if missing := missing_pseudopotentials(config):
        raise ConfigurationFault(
            f"Pseudopotentials are missing: {'; '.join(missing)}",
            f"Put the files into one of the folders {', '.join(config.labelling.pseudo_dir)} (those of SSSP are on the "
            "web site of Materials Cloud), or name others in labelling.pseudopotentials and labelling.pseudo_dir",
        )
    make_labeller(config.labelling)


def check_training(settings: Training) -> None:
    """Look for what the trainer needs before the first job.

    Raises:
        ConfigError, ConfigurationFault: it is missing.
    """
    from mlip_autopipec.training.trainer import check_trainer  # slow to import, and not needed for a dry run

    check_trainer(settings)


def start_text(config: Config | DataConfig, folder: str, inferred: str) -> str:
    """What the material is taken for, what was inferred and what will be done."""
    return _of_data(config, folder, inferred) if isinstance(config, DataConfig) else _of_loop(config, folder, inferred)


def _of_loop(config: Config, folder: str, inferred: str) -> str:
    limits = config.active_learning
    made = [f"{number} {name.replace('_', ' ')}" for name, number in config.structures.counts.items() if number]
    weights = classify(config.amounts)
    shares = ", ".join(f"{one.material_class} {one.weight:.2f}" for one in weights)
    return (
        f"\nMLIP-AutoPipe: a potential for {config.composition}, in {folder}/\n\n"
        f"Taken for {', '.join(config.material_class)}. By its composition: {shares}, because\n"
        + "".join(f"  {reason}\n" for reason in weights[0].reasons)
        + f"\nInferred (each can be set in the config):\n{inferred}\n\n"
        f"Starting structures from {', '.join(config.structures.sources)}: up to {', '.join(made) or 'none'}.\n\n"
        f"What will be done: walk with the surrogate, label {limits.labels_first} frames with DFT, train, simulate;\n"
        f"then up to {limits.labels_per_generation} more labels in each generation, at most {limits.generations_max} "
        f"generations and {limits.label_budget} training\nlabels in all, until the simulations find nothing uncertain; "
        f"then validate, report and bundle. Every value: {folder}/exec_config_dump.yaml\n"
    )


def _of_data(config: DataConfig, folder: str, inferred: str) -> str:
    test = ", ".join(config.training.test_dataset)
    held_out = f"test on {test}" if test else f"hold out {config.training.test_fraction:.0%} of the frames as a test"
    return (
        f"\nMLIP-AutoPipe: a potential from your data in {', '.join(config.training.dataset)}, in {folder}/\n\n"
        f"Inferred (each can be set in the config):\n{inferred}\n\n"
        f"What will be done: check the data frame by frame, {held_out}, train, report and bundle; no DFT, no loop.\n"
        f"Every value, with what the data decided: {folder}/exec_config_dump.yaml\n"
    )


def end_text(summary_path: str | os.PathLike[str]) -> str:
    """The last lines: potential, report, labels used, test errors, verdict, limits of the labels where some are known.

    '' while there is no summary.
    """
    path = Path(summary_path)
    if not path.is_file():
        return ""
    summary = json.loads(path.read_text(encoding="utf-8"))
    labels, test = summary["labels"], summary["test"]
    quarantined = f", {labels['quarantined']} quarantined" if labels["quarantined"] else ""
    errors = "no test frame was labelled"
    seen = "no selection saw" if summary["converged"] is not None else "were held out"
    if test["frames"]:
        energy, force = test["energy_rmse_mev_per_atom"], test["force_rmse_mev_per_angstrom"]
        errors = f"{energy:.2f} meV/atom, {force:.0f} meV/A on {test['frames']} frames that {seen}"
    alone = (
        " (of a molecule alone: nothing between molecules was checked)" if summary["validation"]["bond_scale"] else ""
    )
    verdict = f"passed{alone}" if summary["passed"] else "not passed: " + "; ".join(summary["failures"])
    limits = len(summary["cautions"])
    beyond = f"\nBeyond it:   limits of the labels that no check sees: {limits}, named in the report" if limits else ""
    looped = summary["converged"] is not None
    cost = (
        f", {summary['generations']} generations, {summary['dft_core_hours']:.3f} core-hours of DFT" if looped else ""
    )
    end = (
        f"{'converged' if summary['converged'] else 'not converged'}: {summary['reason']}"
        if looped
        else "no DFT, no loop"
    )
    return (
        f"\nPotential:   {summary['potential']['yaml']}, .yace, .asi\n"
        f"Report:      {path.parent / 'report.html'}\n"
        f"Labels:      {labels['accepted']} of {labels['requested']} accepted{quarantined}{cost}\n"
        f"Test errors: {errors}\n"
        f"Verdict:     {verdict}; {end}{beyond}"
    )
