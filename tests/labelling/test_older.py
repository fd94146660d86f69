"""A folder of an older version is refused with one message; labels of other settings are named at the start."""

import json
from pathlib import Path

import pytest
from test_surfaces import VALUES, older, surface

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import MlipError
from mlip_autopipec.labelling.older import other_settings, refuse_older_labels


def write_batch(run: Path, batch: str, surfaces: dict[str, dict | None], jobs: bool = True) -> None:
    """Frames of one atom each and their labels; None: no label."""
    (run / "frames").mkdir(parents=True, exist_ok=True)
    lines = [f'1\nLattice="9 0 0 0 9 0 0 0 9" uid={name} config_type=a\nSi 0 0 0\n' for name in surfaces]
    (run / "frames" / f"{batch}.extxyz").write_text("".join(lines))
    for name, one in surfaces.items():
        if one is not None:
            write_json(run / "labeled" / batch / f"{name}.json", {"forces": [[0, 0, 0]], "settings": {"surface": one}})
    if jobs:
        (run / "labeled" / batch / "jobs").mkdir(parents=True, exist_ok=True)


def test_labels_that_no_job_record_knows_are_refused(tmp_path):
    write_batch(tmp_path, "gen0", {"fa": older(), "fb": older()}, jobs=False)
    with pytest.raises(MlipError, match=r"older version.*\(2 in .*gen0\).*config key 'run'.*move this folder"):
        refuse_older_labels(tmp_path)


def test_labels_of_this_version_are_not_refused(tmp_path):
    refuse_older_labels(tmp_path)  # nothing is there
    write_batch(tmp_path, "gen0", {"fa": surface()})
    write_batch(tmp_path, "test", {"fb": older()}, jobs=False)  # is labelled again, or is on the same surface
    write_json(tmp_path / "labeled" / "gen1" / "review.json", {})
    refuse_older_labels(tmp_path)


def test_labels_whose_job_records_were_deleted_are_not_refused(tmp_path):
    write_batch(tmp_path, "gen0", {"fa": surface()}, jobs=False)
    line = {"batch": "gen0", "frame": "fa", "final": True, "core_seconds": 1.0}
    (tmp_path / "labeled" / "ledger.jsonl").write_text(json.dumps(line) + "\n")
    refuse_older_labels(tmp_path)


def test_labels_of_other_settings_are_counted_with_what_changed(tmp_path):
    assert other_settings(Labelling(**VALUES), tmp_path) == ""
    write_batch(tmp_path, "gen0", {"fa": older(), "fb": surface(ecutwfc_ry=25), "fc": None})
    write_batch(tmp_path, "test", {"fd": surface(ecutwfc_ry=25, degauss_ry=0.01)})
    said = other_settings(Labelling(**VALUES), tmp_path)
    assert said.startswith("2 labels were made with other settings (ecutwfc_ry: 25.0 -> 20.0, degauss_ry: 0.01 -> ")
    assert other_settings(Labelling(**(VALUES | {"ecutwfc_ry": 25})), tmp_path).startswith("2 labels")
    (tmp_path / "frames" / "test.extxyz").unlink()  # what no frame asks for is not made again
    assert other_settings(Labelling(**VALUES), tmp_path).startswith("1 label was")


def test_damaged_files_are_left_to_those_that_read_them(tmp_path):
    write_batch(tmp_path, "gen0", {"fa": older()})
    (tmp_path / "labeled" / "gen0" / "fa.json").write_text('{"settings": {"surface": {"nsp')
    (tmp_path / "frames" / "gen1.extxyz").write_text("1\nnothing\nSi 0 0 0\n")
    assert other_settings(Labelling(**VALUES), tmp_path) == ""
