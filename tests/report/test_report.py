"""The report: complete with full and with crippled inputs, self-contained, and true to its records."""

import base64
import json
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from ase.eos import EquationOfState
from report_run import WRITTEN, Crippled, make_run

from mlip_autopipec.artifacts import read_json, write_json
from mlip_autopipec.config import cautions, expand
from mlip_autopipec.console import end_text
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.report import Summary, write_report
from mlip_autopipec.report.doubts import noisy_labels, smeared_atoms
from mlip_autopipec.report.figures import birch_murnaghan
from mlip_autopipec.report.page import render
from mlip_autopipec.report.records import read_records
from mlip_autopipec.report.summary import build_summary
from mlip_autopipec.report.words import headline, number, units
from mlip_autopipec.validation.eos import fit_eos

HOSTILE = '<script>alert("x")</script> & <b>bold</b>'
CRIPPLED = {
    "no test labels": Crippled(test=False),
    "no equation of state": Crippled(eos=3),
    "no cells at all": Crippled(eos=0),
    "one generation": Crippled(generations=1),
    "no isolated atom": Crippled(atom=False),
    "no elastic constants": Crippled(elastic=False),
    "everything": Crippled(1, False, False, 0, False, False, HOSTILE),
}


class Page(HTMLParser):
    """Tags with their attributes, visible text, and whether every tag that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.in_key = False
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.keys: list[str] = []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words).replace("\xa0", " "))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "wbr"):
            self.open.append(tag)
        self.in_key = dict(attrs).get("class") == "key" or (self.in_key and tag == "wbr")
        if self.in_key and tag == "td":
            self.keys.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.in_key = False

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if self.in_key:
            self.keys[-1] += data


def written(folder, broken=None, files=None):
    files = files or make_run(folder, broken)
    write_report(expand(WRITTEN), files, folder / "report.html", folder / "summary.json")
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, Page(text), read_json(folder / "summary.json")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return written(tmp_path_factory.mktemp("full"))


def test_page_says_the_verdict_in_words_and_shows_every_section(full):
    _, page, summary = full
    assert summary["passed"]
    assert summary["converged"]
    assert "This potential passed every check, and its last simulations met nothing uncertain." in page.text
    assert "On 6 test frames, from trajectories of their own that no selection saw" in page.text
    assert "23 training labels of 24 asked for were accepted, 1 quarantined" in page.text
    assert "At 300 and 900 K all walkers of the last round made their 10000 steps (20 ps)" in page.text
    assert "Volumes from 15 % below to 15 % above" in page.text
    assert "SCF did not converge in 80 iterations, nor with a smaller mixing" in page.text  # quarantine
    assert "Pulay stress" in page.text
    assert "a force of 41.0 eV/Å (limit 30.0)" in page.text  # why the surrogate's walker stopped
    assert "pair_coeff 1 1 zbl 29 29" in page.text
    assert [a["alt"].split(" ")[0] for t, a in page.tags if t == "img"] == [
        "Energy", "Force", "Energy", "Force", "Histogram", "Energy",
    ]  # fmt: skip
    assert page.open == []


def test_page_and_summary_say_what_became_of_the_labels(full):
    _, page, summary = full
    found = summary["audit"]
    assert found["labels"] == 24 + 6 + 7 + 1
    assert found["by_class"] == {
        "ok": 37, "physics": 1, "structure": 0, "configuration": 0, "infrastructure": 0, "budget": 0,
    }  # fmt: skip
    assert found["rungs"] == [{"rung": "mixing_beta 0.3", "used": 3, "helped": 3}]
    assert found["core_hours"] == pytest.approx((37 * 3.6 + 360) / 3600)
    assert found["wasted_core_hours"] == pytest.approx((3.6 + 3 * 1.8) / 3600)
    assert found["review"]["not_judged"] == 3
    assert found["noise"]["force_mev_per_angstrom"] == 22.9
    assert found["noise"]["labels"] == 2
    assert summary["labels"]["not_started"] == 0
    assert "mixing_beta 0.3 charge sloshing: gentler mixing 3 3" in page.text
    assert "the energy is 120 meV/atom above what the labels of like frames say" in page.text
    assert "1.37 meV/atom (constants per element taken out) and 22.9 meV/Å of a force component" in page.text
    assert "1 such runs gave nothing" in page.text


def test_without_an_audit_the_page_has_none(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    files.pop("audit")
    _, page, summary = written(tmp_path, files=files)
    assert summary["audit"] is None
    assert "Audit of the labels" not in page.text


def test_page_tells_the_material_its_parents_and_its_structures(full):
    _, page, summary = full
    assert summary["classification"][0]["class"] == "metal"
    assert summary["classification"][0]["reasons"]
    assert summary["structures"] == {"crystal": 1, "rattle": 20, "surface": 9}
    assert "Cu as A1 (Fm-3m) and A3 (P6_3/mmc), relaxed by the surrogate" in page.text
    assert "150 meV/atom above the lowest, window 100" in page.text
    assert "The source sqs gave nothing: one element has no disorder" in page.text
    assert "The generator melt failed: the melt froze." in page.text
    assert "rattles 21 21 20 1 unphysical" in page.text
    # surfaces were made and never labelled, the others never made; one element has no antisites
    assert "Vacancies, interstitials, liquids, glasses and clusters: none was made." in page.text
    assert "Surfaces: made as places to start from, but none was chosen for a label" in page.text
    assert "Labels were made without spin." in page.text
    assert "Cu 1 smeared 0.00 yes converged" in page.text  # a spin state of the isolated atom
    assert "Cu 3 whole – no the SCF ran away" in page.text


def test_an_isolated_atom_with_smeared_occupations_is_warned_of(full):
    _, page, summary = full
    (warning,) = [one for one in summary["warnings"] if "isolated Cu atom" in one]
    assert "(moment 1) is of smeared occupations" in warning
    assert warning in page.text
    held = {"isolated_atoms_spin": {"Cu": [{"moment": 1, "occupations": "fixed", "kept": True}]}}
    assert smeared_atoms(held) == []
    assert smeared_atoms({"isolated_atoms_spin": {"Cu": [{"moment": 1, "kept": True}]}}) == [], "a record that is older"


def test_limits_of_the_labels_stand_in_summary_and_report(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    nickel = WRITTEN | {
        "composition": "NiO",
        "labelling": {"pseudopotentials": {"Ni": "Ni.UPF", "O": "O.UPF"}, "ecutwfc_ry": 40, "ecutrho_ry": 320},
    }
    config, choices = expand(nickel)
    assert config.labelling.nspin == 2
    assert "pseudopotentials are missing" in cautions(config)[0], "true of this test; it has no labels of its own"
    records = read_records(files)
    said = build_summary(config, records)
    assert any("without +U" in one for one in said.cautions)
    assert any("antiferromagnet" in one for one in said.cautions)
    assert not any("pseudopotentials are missing" in one for one in said.cautions)
    page = Page(render(config, choices, records, said))
    _, _, care = page.text.partition("Take care with")
    care, _, _ = care.partition("Warnings")
    for one in said.cautions:
        assert one[1:] in care
    assert f"No check sees the limits of the labels themselves: {len(said.cautions)} of them stand" in page.text


def test_labels_noisier_than_the_test_errors_are_a_caution():
    noise = {"measured": True, "energy_mev_per_atom": 9.2, "force_mev_per_angstrom": 120.5, "frames": [{}, {}, {}]}
    test = {"energy_rmse_mev_per_atom": 10.0, "force_rmse_mev_per_angstrom": 130.0}
    assert noisy_labels({"noise": noise}, test) == []
    (said,) = noisy_labels({"noise": noise}, test | {"force_rmse_mev_per_angstrom": 25.0})
    assert "3 of them run again" in said
    assert "120 meV/A" in said
    assert noisy_labels(None, test) == noisy_labels({"noise": noise | {"measured": False}}, test) == []


def test_the_scope_of_the_checks_is_told_beside_them(full):
    _, page, summary = full
    (interpolation,) = summary["scope"]
    assert "interpolation" in interpolation
    assert interpolation in page.text
    assert "bulk modulus, GPa passed" in page.text
    assert "stiffness" not in page.text.partition("Values left at their defaults")[0].partition("Checks What")[2]


def test_a_crystal_with_free_coordinates_has_no_bulk_modulus_in_the_report(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    held = "shape and inner coordinates"
    write_json(files["eos"], read_json(files["eos"]) | {"held": held})
    _, page, _ = written(tmp_path, files=files)
    assert f"At the minimum of the curve, with {held} as relaxed by the surrogate" in page.text
    assert "stiffness against uniform scaling, GPa" in page.text


def test_the_page_of_a_molecule_has_its_own_words_and_no_elastic_constants(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    scale, energy = [0.94, 0.97, 1.0, 1.03, 1.06], [0.2, 0.05, 0.0, 0.04, 0.15]
    side = {"scale": 1.004, "energy_ev": 0.0, "stiffness_ev": 91.0, "residual_mev": 0.01}
    write_json(
        files["eos"],
        {"kind": "molecule", "atoms": 3, "scale": scale, "dft_ev_per_atom": energy, "potential_ev_per_atom": energy,
         "dft": side, "potential": side},
    )  # fmt: skip
    write_json(files["elastic"], {})
    _, page, _ = written(tmp_path, files=files)
    assert "The molecule: breathing" in page.text
    assert "One molecule at 5 scales of all its distances" in page.text
    assert "There are no elastic constants of a molecule" in page.text
    assert page.open == []


def test_the_headline_of_a_molecule_claims_nothing_between_molecules(full):
    summary = full[2]
    scale = summary["validation"]["lattice_constant"] | {"what": "equilibrium scale"}
    molecule = summary["validation"] | {"lattice_constant": None, "bulk_modulus": None, "bond_scale": scale}
    said = headline(Summary.model_validate(summary | {"validation": molecule}))
    assert said.startswith("This potential passed its checks, none of which is of a property between molecules")
    assert "every check" not in said


def test_page_needs_nothing_from_outside(full):
    text, page, _ = full
    assert not re.search(r"https?://|@import|url\(", text)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    targets = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"][1:] for t, a in page.tags if t == "a"} <= targets


def test_pictures_hold_everything_they_show(full):
    _, page, _ = full
    for tag, attributes in page.tags:
        if tag == "img":
            svg = base64.b64decode(attributes["src"].removeprefix("data:image/svg+xml;base64,")).decode()
            assert svg.rstrip().endswith("</svg>")
            assert all(link.startswith(("#", "data:")) for link in re.findall(r'href="([^"]+)"', svg))


def test_every_key_of_the_config_is_there_once_with_what_chose_it(full):
    _, page, _ = full
    _, choices = expand(WRITTEN)
    assert {key: page.keys.count(key) for key in choices} == dict.fromkeys(choices, 1)
    assert [a.get("class") for _, a in page.tags].count("tag") == sum(
        choice.by == "user" for choice in choices.values()
    )
    assert choices["training.cutoff_angstrom"].by == "cutoff_of_2_35_bonds"
    assert "cutoff of 2.35 bonds" in page.text


def keys_of(model) -> Iterator[str]:
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} is not documented"
        yield field.alias or name


def test_summary_has_the_documented_keys_and_validates(full):
    _, _, summary = full
    assert list(summary) == list(keys_of(Summary))
    again = Summary.model_validate(summary)
    assert again.model_dump(mode="json", by_alias=True) == summary
    for definition in Summary.model_json_schema()["$defs"].values():
        assert definition["description"]
        assert all("description" in one for one in definition["properties"].values())


def test_summary_has_the_keys_that_the_design_promises(full):
    _, _, summary = full
    promised = "run composition class seed versions converged reason generations labels dft_core_hours train test "
    assert set((promised + "validation potential passed failures").split()) <= set(summary)
    assert {"requested", "accepted", "quarantined", "by_generation"} <= set(summary["labels"])
    errors = {"energy_rmse_mev_per_atom", "force_rmse_mev_per_angstrom"}
    assert errors | {"functions"} <= set(summary["train"])
    assert errors | {"frames"} <= set(summary["test"])
    assert {"value", "reference", "relative_error", "passed"} <= set(summary["validation"]["lattice_constant"])
    assert summary["validation"]["bulk_modulus"]["relative_error"] == pytest.approx(0.02, rel=1e-3)
    assert summary["validation"]["elastic_constants"]["c11_gpa"] == pytest.approx(176.1, abs=0.1)
    assert [summary["potential"][kind].rpartition("/")[2] for kind in ("yaml", "yace", "asi")] == [
        "potential_gen2.yaml", "potential_gen2.yace", "potential_gen2.asi",
    ]  # fmt: skip
    assert summary["versions"]["espresso"] == "6.7MaX"


def test_the_last_lines_of_a_run_can_be_written_from_the_summary(full, tmp_path):
    write_json(tmp_path / "summary.json", full[2])
    text = end_text(tmp_path / "summary.json")
    assert "23 of 24 accepted, 1 quarantined, 3 generations" in text
    assert "Verdict:     passed; converged: no uncertain frame in a full round of 2 walkers" in text


def test_core_hours_count_all_dft_and_the_isolated_atoms_once(tmp_path):
    files = make_run(tmp_path)
    for path in [*files["datasets"], files["test"], files["eos_labels"]]:
        write_json(path, read_json(path) | {"isolated_atoms_cpu_hours": 0.1})
    _, page, summary = written(tmp_path, files=files)
    assert summary["dft_core_hours"] == pytest.approx((24 + 6 + 7) * 0.001 + 0.1)
    assert summary["dft_core_hours_by_purpose"]["isolated_atoms"] == 0.1
    rows = summary["labels"]["by_generation"]
    assert [row["core_hours"] for row in rows] == pytest.approx([0.008, 0.008, 0.008])
    assert [row["requested"] for row in rows] == [8, 8, 8]
    assert [row["quarantined"] for row in rows] == [1, 0, 0]
    assert [row["recovered"] for row in rows] == [1, 1, 1]
    assert "isolated atoms 1 1 0 – 0.1000" in page.text


@pytest.mark.parametrize("name", CRIPPLED)
def test_missing_pieces_are_said_in_words_and_break_nothing(name, tmp_path):
    broken = CRIPPLED[name]
    _, page, summary = written(tmp_path, broken)
    assert list(Summary.model_validate(summary).model_dump(by_alias=True)) == list(summary)
    assert page.open == []
    said = {
        "There is no labelled test frame": not broken.test,
        "No comparison:": broken.eos < 5,
        "Only one generation was made": broken.generations == 1,
        "Cohesive energies and dissociation": not broken.atom,
        "There are no elastic constants": not broken.elastic or not broken.eos,
        "This potential did not pass its validation.": not (broken.test and broken.eos > 4 and broken.elastic),
    }
    assert {sentence: sentence in page.text for sentence in said} == said
    for sentence in summary["failures"]:
        assert units(sentence) in page.text
    assert "NaN" not in json.dumps(summary)


def test_a_quarantined_atom_is_listed_once(tmp_path):
    _, _, summary = written(tmp_path, Crippled(atom=False))
    assert [one["batch"] for one in summary["labels"]["quarantine"]] == ["isolated atom", "training"]
    assert summary["labels"]["quarantined"] == 1


def test_words_from_files_cannot_become_markup(tmp_path):
    text, page, _ = written(tmp_path, Crippled(reason=HOSTILE))
    assert "<script" not in text
    assert "<b>bold" not in text
    assert HOSTILE in page.text


def test_a_single_file_may_be_a_plain_string(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    for key in ("assessments", "datasets", "potentials", "evaluations"):
        files[key] = files[key][0]
    files["dump"] = [files["dump"]]
    files["eos"] = [files["eos"]]
    _, _, summary = written(tmp_path, files=files)
    assert summary["generations"] == 1


def test_generations_are_told_by_name_not_by_order(tmp_path):
    files = make_run(tmp_path)
    expected = written(tmp_path, files=files)[2]
    mixed = {key: value[::-1] if isinstance(value, list) else value for key, value in files.items()}
    assert written(tmp_path, files=mixed)[2] == expected


def test_a_damaged_record_gives_one_message_and_no_report(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    with open(files["verdict"], "w") as handle:
        handle.write('{"passed": tr')
    with pytest.raises(InputFileError, match="not readable as JSON"):
        write_report(expand(WRITTEN), files, tmp_path / "report.html", tmp_path / "summary.json")
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / "summary.json").exists()


def test_numbers_that_are_not_finite_become_null_in_the_summary(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    verdict = read_json(files["verdict"])
    verdict["checks"]["bulk_modulus"]["value"] = float("nan")
    write_json(files["verdict"], verdict)
    summary = written(tmp_path, files=files)[2]
    assert summary["validation"]["bulk_modulus"]["value"] is None


def test_a_check_that_is_new_is_reported_too(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    verdict = read_json(files["verdict"])
    verdict["checks"]["phonons"] = {"what": "lowest phonon, THz", "value": -1.5, "reference": 0.0, "passed": False}
    write_json(files["verdict"], verdict)
    _, page, summary = written(tmp_path, files=files)
    assert summary["validation"]["phonons"]["value"] == -1.5
    assert "lowest phonon, THz not passed −1.500" in page.text


def test_report_of_a_long_run_is_light_and_quick(tmp_path):
    files = make_run(tmp_path)
    for path in files["evaluations"]:  # 600 frames of 32 atoms
        found = read_json(path)
        row = found["train_frames"][0]
        row |= {key: row[key] * 8 for key in ("forces_label_ev_per_angstrom", "forces_ev_per_angstrom")}
        write_json(path, found | {"train_frames": [row] * 600})
    start = time.process_time()
    text, _, _ = written(tmp_path, files=files)
    assert time.process_time() - start < 5
    assert len(text) < 3e6


def test_the_same_run_gives_the_same_page(full, tmp_path):
    text, _, summary = full
    folder = Path(summary["potential"]["yaml"]).parent
    assert written(tmp_path)[0].replace(str(tmp_path), "") == text.replace(str(folder), "")


def test_drawn_curve_is_the_fitted_curve():
    volumes = np.linspace(18.0, 22.0, 9)
    random = np.random.default_rng(0)
    energies = 0.02 * (volumes - 19.8) ** 2 - 0.001 * (volumes - 19.8) ** 3 + 1e-4 * random.normal(size=9)
    curve = fit_eos(volumes, energies)
    state = EquationOfState(volumes, energies, eos="birchmurnaghan")
    state.fit(warn=False)
    drawn = birch_murnaghan(volumes, volumes, energies, curve.__dict__)
    assert drawn == pytest.approx(state.func(volumes, *state.eos_parameters), abs=1e-7)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(3.0, 3, "3.00"), (1234.5, 3, "1234"), (-0.01234, 2, "−0.012"), (0.0, 3, "0.00"), (None, 3, "–"),
     (float("nan"), 3, "–"), (2.5e-7, 2, "2.5e−07"), (9.999, 3, "10.0")],
)  # fmt: skip
def test_numbers_keep_their_significant_digits(value, digits, text):
    assert number(value, digits) == text


def test_only_units_become_angstrom():
    assert (
        units("edge, A: 5 A, 3 eV/A. A walker stops at A, not 2 Atoms")
        == "edge, Å: 5 Å, 3 eV/Å. A walker stops at A, not 2 Atoms"
    )


def test_a_run_whose_labels_are_on_different_surfaces_does_not_pass(tmp_path):
    files = make_run(tmp_path, Crippled(generations=1))
    write_json(files["audit"], read_json(files["audit"]) | {"mixed_settings": "ecutwfc_ry: 20 and 25"})
    _, page, summary = written(tmp_path, files=files)
    assert not summary["passed"]
    assert "made with different settings: ecutwfc_ry: 20 and 25" in summary["failures"][0]
    assert "made with different settings: ecutwfc_ry: 20 and 25" in page.text
