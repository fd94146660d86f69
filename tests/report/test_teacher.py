"""Labels of a teacher never pass for density functional theory: page, summary, bundle and last lines say so."""

import copy

import pytest
from report_run import WRITTEN, make_run

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.bundle import _labels_note
from mlip_autopipec.config import expand
from mlip_autopipec.config.label_source import label_source
from mlip_autopipec.console import end_text
from mlip_autopipec.report import write_report
from mlip_autopipec.report.teacher import worded


def taught(calculator="sevennet-0"):
    written = copy.deepcopy(WRITTEN)
    written["labelling"] = {"engine": "calculator", "calculator": calculator}
    return written


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    write_report(expand(taught()), make_run(folder), folder / "report.html", folder / "summary.json")
    return (folder / "report.html").read_text(encoding="utf-8"), read_json(folder / "summary.json"), folder


def test_the_page_says_whose_labels_they_are_first_and_speaks_of_dft_nowhere(page):
    text, _, _ = page
    verdict = text[text.index("<header>") :]
    assert verdict.index("Labels: SevenNet-0 (a machine-learned teacher), not density functional theory.") < 1200
    assert "DFT" not in text
    assert "with the teacher" in text


def test_the_summary_counts_no_hours_of_dft(page):
    _, summary, _ = page
    assert summary["label_source"] == {
        "engine": "calculator", "name": "SevenNet-0", "kind": "a machine-learned teacher", "dft": False,
        "words": "Labels: SevenNet-0 (a machine-learned teacher), not density functional theory.",
    }  # fmt: skip
    assert summary["dft_core_hours"] == 0
    assert set(summary["dft_core_hours_by_purpose"].values()) == {0}
    assert summary["label_core_hours"] > 0
    assert not any("DFT" in sentence for sentence in summary["scope"] + summary["failures"])


def test_the_last_lines_and_the_bundle_say_it_too(page):
    _, summary, folder = page
    told = end_text(folder / "summary.json")
    assert "Mind:        Labels: SevenNet-0 (a machine-learned teacher), not density functional theory." in told
    assert "of DFT" not in told
    assert "not density functional theory" in _labels_note(summary)
    assert _labels_note({"label_source": None}) == ""


def test_labels_of_dft_are_told_as_before(tmp_path):
    write_report(expand(WRITTEN), make_run(tmp_path), tmp_path / "report.html", tmp_path / "summary.json")
    text, summary = (tmp_path / "report.html").read_text(encoding="utf-8"), read_json(tmp_path / "summary.json")
    assert "not density functional theory" not in text
    assert "with DFT and with the potential" in text
    assert "core-hours of DFT" in text
    assert summary["label_core_hours"] == summary["dft_core_hours"] > 0
    assert _labels_note(summary) == ""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The cells compared with DFT are", "The cells compared with the teacher are"),
        ("without a DFT value to compare with", "without a value of the teacher to compare with"),
        ("The DFT stresses differ from the slope of the DFT energies",
         "The teacher stresses differ from the slope of the teacher energies"),
        ("<li>DFT pressures of the training cells", "<li>The teacher's pressures of the training cells"),
        ("only 3 DFT energies", "only 3 teacher energies"),
        ("could ask DFT for it", "could ask the teacher for it"),
    ],
)  # fmt: skip
def test_sentences_written_for_dft_stay_sentences(said, told):
    assert worded(said, label_source(expand(taught())[0].labelling)) == told
    assert worded(said, label_source(expand(WRITTEN)[0].labelling)) == said
