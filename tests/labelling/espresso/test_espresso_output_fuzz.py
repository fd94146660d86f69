"""Cut and flipped outputs: no damaged text of a real run ever becomes a label with another number."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.espresso.text import read_text
from mlip_autopipec.labelling.espresso.verdict import judge, structure_of

DATA = Path(__file__).parents[2] / "data" / "qe"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
USABLE = [case for case, (_, _, usable) in EXPECTED.items() if usable]
CUTS = 200
FLIPS = 40  # in each of header and results
GLUED = 40


def whole_text(case: str) -> str:
    return (DATA / case / "pw.out").read_text(encoding="utf-8")


def read(text: str) -> PwResult:
    return PwResult(path=Path("pw.out"), text=read_text(text), empty=not text.strip())


@pytest.mark.parametrize("case", USABLE)
def test_cut_output_never_yields_a_label(case: str) -> None:
    whole = whole_text(case)
    atoms = read(whole).text.natoms
    rng = random.Random(case)
    length = len(whole.rstrip())
    ends = [rng.randrange(length) for _ in range(CUTS)]
    for end in [*ends, 0, length - 1, whole.rfind("Forces acting") + 200]:
        result = read(whole[:end])
        assert not judge(result).usable, f"cut at {end}"
        assert result.text.forces is None or result.text.forces.shape == (atoms, 3), f"cut at {end}"


@pytest.mark.parametrize("case", USABLE)
def test_cut_output_with_its_last_lines_put_back_is_no_label(case: str) -> None:
    whole = whole_text(case)
    rng = random.Random(case)
    last_lines = whole[whole.rfind("=-", 0, whole.rfind("JOB DONE")) :]
    for end in [rng.randrange(whole.rfind("This run was terminated on")) for _ in range(GLUED)]:
        assert not judge(read(whole[:end] + "\n" + last_lines)).usable, f"cut at {end}"


@pytest.mark.parametrize("case", USABLE)
def test_flipped_digit_changes_no_label_unnoticed(case: str) -> None:
    """A digit flipped in the header or in the results is refused, or the label is the same (to printed precision).

    The moments are not compared: the text of a collinear run gives each of them once.
    """
    whole = whole_text(case)
    truth = read(whole)
    atoms = structure_of(truth)
    rng = random.Random(case)
    last = whole.rfind("\n!")
    for first, end in ((0, whole.find("Self-consistent Calculation")), (last, whole.find("init_run", last))):
        digits = [i for i in range(first, end) if whole[i].isdigit()]
        for place in rng.sample(digits, min(FLIPS, len(digits))):
            flipped = rng.choice([d for d in "0123456789" if d != whole[place]])
            result = read(whole[:place] + flipped + whole[place + 1 :])
            if not judge(result, atoms).usable:
                continue
            assert result.text.energy_ev == pytest.approx(truth.text.energy_ev, abs=2e-5), f"at {place}"
            np.testing.assert_allclose(result.text.forces, truth.text.forces, atol=1e-3)
            largest = np.abs(truth.text.stress).max()
            np.testing.assert_allclose(result.text.stress, truth.text.stress, atol=1e-5 + 2e-4 * largest)
