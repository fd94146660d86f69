"""What a person sees of a run, and how a job speaks: logs, locks, first and last lines."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

import yaml

from mlip_autopipec.artifacts import read_json, write_json
from mlip_autopipec.config.classify import classify
from mlip_autopipec.config.fetching import fetch_missing, how_to_install, scattered
from mlip_autopipec.config.full import Config, Labelling, Training
from mlip_autopipec.config.label_source import label_source
from mlip_autopipec.config.own_data import DataConfig
from mlip_autopipec.config.pseudopotentials import missing_pseudopotentials
from mlip_autopipec.errors import ConfigurationFault, MlipError
from mlip_autopipec.labelling import forecast, older
from mlip_autopipec.labelling.ledger import Ledger, why_stopped
from mlip_autopipec.processes import die_with_parent

_locks: list[IO[str]] = []


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
    handle: IO[str] | None = None
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handle = open(log, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - a full disk makes closing it fail too
        sys.stdout = sys.stderr = handle
        yield
    except MlipError as error:
        _end(handle, f"Error: {error}")
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" {error.filename}" if error.filename else ""
            _end(
                handle,
                f"Error: the disk is full: {error.strerror}{where}. Free some space and run again: what is finished is "
                "kept",
            )
        fault = "This is a fault of the program, not of your input: please report it with this log."
        _end(handle, f"{traceback.format_exc()}{fault}")
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        if handle is not None:
            with suppress(OSError):
                handle.close()


def _end(handle: IO[str] | None, words: str) -> NoReturn:
    """End a job with its last words: in its log, or beside it where the disk takes no more."""
    try:
        print(words, file=handle or sys.__stderr__)
    except OSError:
        print(words, file=sys.__stderr__)
    sys.exit(1)


def check_labelling(config: Config) -> None:
    """Look for the engine of the labels and its files before the first job; fetch SSSP's files that are missing.

    Of pw.x the version is printed and kept in the run's `logs/program.json`.

    Raises:
        ConfigError, ConfigurationFault: some of them are missing and cannot be fetched; all that are missing are named.
    """
    from mlip_autopipec.labelling.engines import check  # slow to import, and not needed for a dry run

    said: MlipError | None = None
    try:
        fetch_missing(config)
    except MlipError as error:
        said = error
    if missing := missing_pseudopotentials(config):
        raise ConfigurationFault(
            f"Pseudopotentials are missing: {'; '.join(missing)}", str(said) if said else how_to_install(config)
        )
    if folders := scattered(config):
        raise ConfigurationFault(
            f"The pseudopotentials lie in different folders ({', '.join(folders)}), and pw.x reads from one only",
            "Copy or link them into one folder and name it in labelling.pseudo_dir",
        )
    check(config)
    if config.labelling.engine == "espresso":
        _check_program(config.labelling, Path("results", config.run, "logs", "program.json"))


def changed_files(config: Config, folder: Path) -> str:
    """That the pseudopotentials are not those of the labels made so far, and how to go back to them; else ''."""
    dump = folder / "exec_config_dump.yaml"
    if not dump.is_file() or not any(folder.glob("labeled/*")):
        return ""
    try:
        before = yaml.safe_load(dump.read_text(encoding="utf-8"))["labelling"]
        names, sums = dict(before["pseudopotentials"]), dict(before.get("pseudopotential_md5") or {})
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return ""
    now = config.labelling
    if now.engine != "espresso":
        return ""
    changed = [s for s in config.elements if names.get(s) != now.pseudopotentials.get(s)]
    changed += [s for s in sums if s not in changed and sums[s] != now.pseudopotential_md5.get(s, sums[s])]
    if not changed:
        return ""
    told = ", ".join(f"{s}: {names.get(s)} -> {now.pseudopotentials.get(s)}" for s in changed)
    kept = ", ".join(f"{s}: {names[s]}" for s in config.elements if s in names)
    return (
        f"the pseudopotentials of this run have changed ({told}), and all its labels are made again. To go on with the "
        f"old ones stop it and write labelling: {{pseudopotentials: {{{kept}}}}}."
    )


def _check_program(settings: Labelling, record: Path) -> None:
    """Try pw.x, say what it is, and warn where an earlier start of this run had another version.

    Raises:
        ConfigurationFault: it cannot be used.
    """
    from mlip_autopipec.labelling.espresso.program import check_launcher, find_program  # slow to import

    program = find_program(settings.command)
    if settings.ranks_max > 1:
        check_launcher(program, settings.launcher)
    print(f"Labels: {program.words}", flush=True)
    try:
        earlier = list(read_json(record)["versions"])
    except (MlipError, KeyError, TypeError):
        earlier = []
    if program.version is None:
        return
    if others := [version for version in earlier if version != program.version]:
        print(
            f"Mind: labels of this run were made with pw.x {', '.join(others)} before; those to come are of "
            f"{program.version}. Versions differ by little (0.1 meV/atom and less is usual), but not by nothing.",
            flush=True,
        )
    write_json(record, program.as_dict() | {"versions": [*others, program.version]})


def labelling_starts(folder: str | os.PathLike[str]) -> None:
    """Labels may start again after a run that was stopped; what failed before does not count against this run."""
    Ledger(Path(folder) / "labeled").run_started()


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
    limits, labelled_by = config.active_learning, label_source(config.labelling)
    made = [f"{number} {name.replace('_', ' ')}" for name, number in config.structures.counts.items() if number]
    weights = classify(config.amounts)
    changed = changed_files(config, Path(folder)) or older.other_settings(config.labelling, Path(folder))
    shares = ", ".join(f"{one.material_class} {one.weight:.2f}" for one in weights)
    return (
        f"\nMLIP-AutoPipe: a potential for {config.composition}, in {folder}/\n\n"
        f"Taken for {', '.join(config.material_class)}. By its composition: {shares}, because\n"
        + "".join(f"  {reason}\n" for reason in weights[0].reasons)
        + f"\nInferred (each can be set in the config):\n{inferred}\n\n"
        f"Starting structures from {', '.join(config.structures.sources)}: up to {', '.join(made) or 'none'}.\n\n"
        f"What will be done: walk with the surrogate, label {limits.labels_first} frames with "
        f"{'DFT' if labelled_by.dft else labelled_by.name}, train, simulate;\n"
        f"then up to {limits.labels_per_generation} more labels in each generation, at most {limits.generations_max} "
        f"generations and {limits.label_budget} training\nlabels in all, until the simulations find nothing uncertain; "
        f"then validate, report and bundle. Every value: {folder}/exec_config_dump.yaml\n\n"
        f"{forecast.words(config, folder)}" + (f"Mind: {changed}\n" if changed else "")
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


def stopped_text(folder: str | os.PathLike[str]) -> str:
    """The last lines of a run whose labels were stopped: why, and what to do; '' for any other."""
    words = why_stopped(Path(folder) / "labeled")
    return f"\n{words}" if words else ""


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
    source = summary.get("label_source") or {"dft": True}
    of_what = " of DFT" if source["dft"] else ""
    hours = summary.get("label_core_hours", summary["dft_core_hours"])  # of older runs the second alone
    cost = f", {summary['generations']} generations, {hours:.3f} core-hours{of_what}"
    cost = cost if looped else ""
    whose = "" if source["dft"] else f"\nMind:        {source['words']}"
    end = (
        f"{'converged' if summary['converged'] else 'not converged'}: {summary['reason']}"
        if looped
        else "no DFT, no loop"
    )
    return (
        f"\nPotential:   {summary['potential']['yaml']}, .yace, .asi\n"
        f"Report:      {path.parent / 'report.html'}\n"
        f"Labels:      {labels['accepted']} of {labels['requested']} accepted{quarantined}{cost}{whose}\n"
        f"Test errors: {errors}\n"
        f"Verdict:     {verdict}; {end}{beyond}"
    )
