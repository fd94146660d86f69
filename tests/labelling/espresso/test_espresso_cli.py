"""`python -m mlip_autopipec.labelling.espresso`: one JSON object per output, clear words and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlip_autopipec.labelling.espresso.__main__ import main

DATA = Path(__file__).parents[2] / "data" / "qe"
GOOD = DATA / "ok_si8_rattled_nosym"


def test_one_json_object_per_output(capsys: pytest.CaptureFixture[str]) -> None:
    cases = ["ok_si8_rattled_nosym", "fail_missing_pseudo", "fail_pw_not_found"]
    assert main([str(DATA / case / "pw.out") for case in cases]) == 1
    good, missing, absent = map(json.loads, capsys.readouterr().out.splitlines())
    assert (good["usable"], good["forces_shape"], good["class"]) == (True, [8, 3], "ok")
    assert (good["kpoints"], good["bands"], good["version"]) == (8, 16, "6.7MaX")
    assert len(good["stress_ev_per_angstrom3"]) == 6
    assert (missing["outcome"], missing["class"], missing["energy_ev"]) == ("pseudo_missing", "configuration", None)
    assert "command not found" in absent["reason"]


def test_usable_outputs_end_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(GOOD)]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(GOOD / "pw.out")


def test_folder_with_one_output_of_another_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "si.pwo").write_text((GOOD / "pw.out").read_text(encoding="utf-8"))
    assert main([str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(tmp_path / "si.pwo")


@pytest.mark.parametrize("name", ["nothing.out", "."])
def test_what_is_not_there_is_said_and_ends_with_two(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / name), str(GOOD)]) == 2
    streams = capsys.readouterr()
    absent, good = map(json.loads, streams.out.splitlines())
    assert (absent["outcome"], absent["usable"], good["usable"]) == ("truncated", False, True)
    assert "there is no such file" in streams.err
    assert "there is no such file" in absent["reason"]


def test_run_that_left_no_output_is_judged_by_what_it_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pw.err").write_text("bash: line 1: pw.x: command not found\n")
    assert main([str(tmp_path / "pw.out")]) == 1
    streams = capsys.readouterr()
    assert json.loads(streams.out)["class"] == "configuration"
    assert streams.err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FILE"),
        (["--maximum-force", "0", "x"], "not a positive number"),
        (["--minimum-distance-fraction", "half", "x"], "not a positive number"),
        (["--nonsense", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_are_said(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Exit code: 0 when every output may train" in said
    assert "--maximum-force" in said


def test_limits_are_the_callers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--maximum-force", "0.5", str(GOOD)]) == 1
    assert "above 0.5 eV/A" in json.loads(capsys.readouterr().out)["reason"]
