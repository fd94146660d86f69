"""Any ASE calculator by its import path, for surrogates and for teachers of labels."""

import pytest
from ase.calculators.emt import EMT

from mlip_autopipec.calculators import distribution_of, make_calculator
from mlip_autopipec.errors import ConfigError


def make(path, **options):
    return make_calculator(path, options, key="a.key", options_key="a.key_options", names=["sevennet-0"])


def test_made_with_its_options():
    assert make("ase.calculators.emt:EMT", asap_cutoff=True).parameters.asap_cutoff
    assert isinstance(make("ase.calculators.emt:EMT"), EMT)


@pytest.mark.parametrize(
    ("path", "options", "key", "said"),
    [
        ("EMT", {}, "a.key", "not an import path"),
        ("sevnnet-0", {}, "a.key", "Did you mean 'sevennet-0'"),
        ("ase.calculators.emt:", {}, "a.key", "not an import path"),
        ("no_such_package:Name", {}, "a.key", "no_such_package is not installed"),
        ("ase.no_such_module:Name", {}, "a.key", "no module ase.no_such_module"),
        ("ase.calculators.lj:LennardJohn", {}, "a.key", "Did you mean 'LennardJones'"),
        ("ase.units:kB", {}, "a.key", "neither a class nor a function"),
        ("ase:Atoms", {}, "a.key", "no ASE calculator but a Atoms"),
        ("builtins:dict", {}, "a.key", "no ASE calculator but a dict"),
        ("ase.calculators.tip3p:TIP3P", {"cutoff": 5}, "a.key_options", "TypeError"),
    ],
)
def test_what_stands_for_no_calculator_is_one_message_with_its_key(path, options, key, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make(path, **options)
    assert caught.value.key == key


def test_the_package_of_a_module():
    assert distribution_of("ase.calculators.emt")[0] == "ase"
    assert distribution_of("json") == ("", "")


def test_an_option_that_the_calculator_does_not_know_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"sigm.*sigma"):
        make_calculator("ase.calculators.lj:LennardJones", {"sigm": 2.0}, key="k", options_key="o")


def test_known_options_pass():
    assert (
        make_calculator("ase.calculators.lj:LennardJones", {"sigma": 2.0}, key="k", options_key="o").parameters.sigma
        == 2.0
    )
    assert make_calculator(
        "ase.calculators.emt:EMT", {"asap_cutoff": True}, key="k", options_key="o"
    ).parameters.asap_cutoff
