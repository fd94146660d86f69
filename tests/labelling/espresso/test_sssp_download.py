"""Fetching SSSP: from a server on this machine, with fake files and tables of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sssp_server import Quiet, archive, file_name, serving, small_sssp, upf

from mlip_autopipec import console
from mlip_autopipec.artifacts import read_json
from mlip_autopipec.config import cautions, expand
from mlip_autopipec.config.dump import write_dump
from mlip_autopipec.config.fetching import fetch_missing, to_fetch
from mlip_autopipec.config.pseudopotentials import forget_files
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.labelling.espresso import download, listing, sssp
from mlip_autopipec.labelling.espresso.settings import EspressoSettings


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a server gives, with both archives; caches, tables and addresses point to it."""
    folder = tmp_path / "site"
    folder.mkdir()
    small_sssp(tmp_path / "data", monkeypatch)
    for library in sssp.LIBRARIES:
        (folder / sssp.archive_name(library)).write_bytes(archive(library))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
    monkeypatch.setenv(sssp.CACHE_VARIABLE, str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("mlip_autopipec.config.rules_labelling.DEBIAN_PSEUDO_DIR", str(tmp_path / "system"))
    with serving(folder) as address:
        monkeypatch.setenv(sssp.URL_VARIABLE, f"{address}/{{archive}}")
        yield folder
    sssp.sssp_table.cache_clear()
    forget_files()


def here(library: sssp.Library = "efficiency") -> list[str]:
    """Names in the cache, temporary ones too."""
    folder = sssp.cache_folder(library)
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_all_files_of_a_library_come_and_are_not_fetched_again(site: Path) -> None:
    said: list[str] = []
    files = download.fetch(["Fe", "Pt"], "efficiency", say=said.append)
    assert [p.name for p in files] == ["Fe.pbe-both.UPF", "Pt.pbe-efficiency.UPF"]
    assert all(p.read_bytes() == upf(e) for p, e in zip(files, ("Fe", "Pt"), strict=True))
    assert here() == ["Fe.pbe-both.UPF", "O.pbe-both.UPF", "Pt.pbe-efficiency.UPF", "Si.pbe-both.UPF"]
    assert "4 files" in said[-1]
    assert download.fetch(["Fe", "Si"], "efficiency", say=said.append) != []
    assert len(Quiet.asked) == 1, "the cache had them"


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv(sssp.CACHE_VARIABLE, raising=False)
    assert sssp.cache_folder("precision") == tmp_path / "xdg/mlip-autopipec/sssp/1.3.0/PBE/precision"
    monkeypatch.setenv(sssp.CACHE_VARIABLE, str(tmp_path / "shared"))
    assert sssp.cache_folder("efficiency") == tmp_path / "shared/sssp/1.3.0/PBE/efficiency"
    monkeypatch.delenv(sssp.CACHE_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert sssp.cache_folder("efficiency") == Path.home() / ".cache/mlip-autopipec/sssp/1.3.0/PBE/efficiency"


def test_a_damaged_file_in_the_cache_is_fetched_again(site: Path) -> None:
    (path,) = download.fetch(["Fe"], "efficiency", say=lambda text: None)
    path.write_bytes(upf("Fe")[:50])
    assert download.missing(["Fe"], "efficiency") == ["Fe"]
    download.fetch(["Fe"], "efficiency", say=lambda text: None)
    assert path.read_bytes() == upf("Fe")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: archive(replaced={"Fe": upf("Fe") + b" "}), r"Fe\.pbe-both\.UPF has md5"),
        (lambda: archive(elements=("Si", "O")), r"Fe\.pbe-both\.UPF absent"),
        (lambda: archive()[:200], "no whole tar archive"),
        (lambda: archive()[:60] + b"damaged" + archive()[67:], "no whole tar archive"),
        (lambda: b"<html>Sign in to the network of the library</html>", "no whole tar archive"),
        (lambda: b"", "no whole tar archive"),
    ],
    ids=["other contents", "absent", "cut", "damaged", "a web page", "empty"],
)
def test_a_bad_archive_is_one_message_and_leaves_no_wrong_file(site: Path, make, says: str) -> None:
    (site / sssp.archive_name("efficiency")).write_bytes(make())
    with pytest.raises(ConfigurationFault, match=says) as told:
        download.fetch(["Fe"], "efficiency", say=lambda text: None)
    assert "tar -xzf SSSP_1.3.0_PBE_efficiency.tar.gz" in str(told.value)
    assert file_name("Fe", "efficiency") not in here()
    assert not [name for name in here() if name not in {file_name(e, "efficiency") for e in ("Pt", "Si", "O")}]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/{archive}", "{site}/none/{archive}", "{site}/x.cut", "no address"]
)
def test_without_a_network_there_is_one_message_with_what_to_do(
    site: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    base = os.environ[sssp.URL_VARIABLE].removesuffix("/{archive}")
    monkeypatch.setenv(sssp.URL_VARIABLE, address.replace("{site}", base))
    with pytest.raises(ConfigurationFault, match="cannot be reached") as told:
        download.fetch(["Fe"], "efficiency", say=lambda text: None)
    for words in ("curl -L -o SSSP_1.3.0_PBE_efficiency.tar.gz", str(sssp.cache_folder("efficiency")), "https_proxy"):
        assert words in str(told.value)
    assert here() == []


def test_a_cache_that_cannot_be_written_is_said(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(sssp.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ConfigurationFault, match=r"cannot be kept in .*MLIP_AUTOPIPEC_CACHE"):
        download.fetch(["Fe"], "efficiency", say=lambda text: None)


def test_members_cannot_leave_the_folder(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import io
    import tarfile

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as members:
        info = tarfile.TarInfo(f"../../{file_name('Fe', 'efficiency')}")
        info.size = len(upf("Fe"))
        members.addfile(info, io.BytesIO(upf("Fe")))
        link = tarfile.TarInfo(file_name("Si", "efficiency"))
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        members.addfile(link)
    (site / sssp.archive_name("efficiency")).write_bytes(raw.getvalue())
    download.fetch(["Fe"], "efficiency", say=lambda text: None)
    assert here() == ["Fe.pbe-both.UPF"]
    assert len(list(tmp_path.rglob("Fe.pbe-both.UPF"))) == 1


def test_expansion_fetches_nothing_and_a_start_fetches_what_is_missing(site: Path) -> None:
    config, choices = expand({"composition": "FePt"})
    assert "NOT INSTALLED" in choices["labelling.pseudopotentials"].why
    assert "fetched before the first job" in cautions(config)[0]
    assert Quiet.asked == []
    assert to_fetch(config) == {"efficiency": ["Fe", "Pt"]}
    fetch_missing(config)
    again, choices = expand({"composition": "FePt"})
    assert choices["labelling.pseudopotentials"].why == "SSSP 1.3.0 efficiency"
    assert again.labelling.surface() == config.labelling.surface(), "else all labels would be made again"
    assert (again.labelling.ecutwfc_ry, again.labelling.ecutrho_ry) == (40, 320)
    fetch_missing(again)
    assert len(Quiet.asked) == 1


def test_a_run_without_a_network_stops_before_its_first_job(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sssp.URL_VARIABLE, "http://127.0.0.1:9/{archive}")
    config, _ = expand({"composition": "FePt"})
    with pytest.raises(ConfigurationFault, match=r"Pseudopotentials are missing: Fe: Fe\.pbe-both.*Pt: .*curl -L"):
        console.check_labelling(config)
    config, _ = expand({"composition": "FePt", "labelling": {"sssp_download": False}})
    with pytest.raises(ConfigurationFault, match=r"Pseudopotentials are missing.*Put the files into"):
        console.check_labelling(config)
    config, _ = expand({"composition": "FePt", "labelling": {"pseudo_dir": "mine"}})
    assert to_fetch(config) == {}, "the user's folder, and no other, is meant"


def test_the_stringent_protocol_takes_the_precision_library_and_no_other_files(site: Path, tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()
    for element in ("Fe", "Pt"):
        (tmp_path / "system" / f"{element}.other.UPF").write_bytes(upf(element))
    balanced = expand({"composition": "FePt"})[0].labelling
    assert set(balanced.pseudopotentials.values()) == {"Fe.other.UPF", "Pt.other.UPF"}
    assert to_fetch(expand({"composition": "FePt"})[0]) == {}, "nothing that is there needs a network"
    config, _ = expand({"composition": "FePt", "labelling": {"protocol": "stringent"}})
    assert config.labelling.pseudopotentials["Pt"] == "Pt.pbe-precision.UPF"
    assert (config.labelling.ecutwfc_ry, config.labelling.ecutrho_ry) == (60, 480)
    fetch_missing(config)
    assert here("precision") != []
    assert here("efficiency") == []
    fetched = expand({"composition": "FePt", "labelling": {"protocol": "stringent"}})[0].labelling
    assert fetched.surface() == config.labelling.surface()
    assert expand({"composition": "FePt"})[0].labelling.surface() == balanced.surface(), "the other library's"


def test_fetched_files_go_before_those_of_the_system(site: Path, tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "Si.other.UPF").write_bytes(upf("Si"))
    assert expand({"composition": "Si"})[0].labelling.pseudopotentials == {"Si": "Si.other.UPF"}
    download.fetch(["Si"], "efficiency", say=lambda text: None)
    forget_files()
    assert expand({"composition": "Si"})[0].labelling.pseudopotentials == {"Si": "Si.pbe-both.UPF"}


def test_another_file_of_the_same_name_is_another_surface(site: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    written = {"composition": "Si", "labelling": {"pseudo_dir": "mine", "pseudopotentials": {"Si": "Si.UPF"}}}
    (mine / "Si.UPF").write_bytes(upf("Si"))
    before = expand(written)[0].labelling
    (mine / "Si.UPF").write_bytes(upf("Si") + b"another\n")
    forget_files()
    after = expand(written)[0].labelling
    assert before.surface() != after.surface()
    assert before.pseudopotentials == after.pseudopotentials


def test_the_command_fetches_and_lists(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.main(["FePt", "--list"]) == 1
    assert capsys.readouterr().out.count("NOT INSTALLED") == 2
    assert Quiet.asked == []
    assert listing.main(["FePt"]) == 0
    said = capsys.readouterr().out
    assert "Pt.pbe-efficiency.UPF  SSSP efficiency  md5 right  PBE" in said
    assert str(sssp.cache_folder("efficiency")) in said
    assert "ecutwfc_ry 40, ecutrho_ry 320" in said
    assert listing.main(["FePt", "--protocol", "precision"]) == 0
    assert "Pt.pbe-precision.UPF" in capsys.readouterr().out
    assert listing.main(["Xy"]) == 2


def test_the_command_without_a_network_lists_and_says_what_to_do(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(sssp.URL_VARIABLE, "http://127.0.0.1:9/{archive}")
    assert listing.main(["Si"]) == 1
    said = capsys.readouterr()
    assert "NOT INSTALLED" in said.out
    assert "curl -L" in said.err


def test_a_run_whose_pseudopotentials_changed_is_told_how_to_keep_its_labels(site: Path, tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "Si.other.UPF").write_bytes(upf("Si"))
    config, choices = expand({"composition": "Si"})
    run = tmp_path / "results" / config.run
    write_dump(run / "exec_config_dump.yaml", config, choices)
    assert console.changed_files(config, run) == "", "no label was made"
    (run / "labeled" / "gen0").mkdir(parents=True)
    assert console.changed_files(config, run) == ""
    download.fetch(["Si"], "efficiency", say=lambda text: None)
    forget_files()
    said = console.changed_files(expand({"composition": "Si"})[0], run)
    assert "Si: Si.other.UPF -> Si.pbe-both.UPF" in said
    assert "write labelling: {pseudopotentials: {Si: Si.other.UPF}}" in said
    kept = expand({"composition": "Si", "labelling": {"pseudopotentials": {"Si": "Si.other.UPF"}}})[0]
    assert console.changed_files(kept, run) == ""


def test_files_in_different_folders_are_one_message(site: Path, tmp_path: Path) -> None:
    for folder, element in (("a", "Fe"), ("b", "Pt")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{element}.UPF").write_bytes(upf(element))
    names = {"Fe": str(tmp_path / "a" / "Fe.UPF"), "Pt": str(tmp_path / "b" / "Pt.UPF")}
    config, _ = expand({"composition": "FePt", "labelling": {"pseudopotentials": names}})
    with pytest.raises(ConfigurationFault, match=r"different folders \(.*/a, .*/b\).*labelling\.pseudo_dir"):
        console.check_labelling(config)


def test_named_files_of_two_functionals_are_refused(site: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "Fe.UPF").write_bytes(upf("Fe"))
    (mine / "Pt.UPF").write_bytes(upf("Pt").replace(b'"PBE"', b'"PZ"'))
    written = {"pseudo_dir": "mine", "pseudopotentials": {"Fe": "Fe.UPF", "Pt": "Pt.UPF"}}
    with pytest.raises(ConfigError, match=r"labelling\.pseudopotentials\.Pt.*a file of PZ, and Fe\.UPF is one of PBE"):
        expand({"composition": "FePt", "labelling": written})


def test_files_with_other_contents_than_the_runs_are_refused(site: Path) -> None:
    config, _ = expand({"composition": "Si"})
    fetch_missing(config)
    section = config.labelling.model_dump()
    EspressoSettings.from_config(section).check()
    with pytest.raises(ConfigurationFault, match=r"other contents than this run's.*must not be mixed"):
        EspressoSettings.from_config(section | {"pseudopotential_md5": {"Si": "0" * 32}}).check()


def test_a_start_fetches_tries_the_program_and_says_both(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pw = tmp_path / "pw.x"
    pw.write_text("#!/bin/sh\necho '     Program PWSCF v.7.2 starts on'\n")
    pw.chmod(0o755)
    config, _ = expand({"composition": "Si", "labelling": {"command": str(pw)}})
    console.check_labelling(config)
    said = capsys.readouterr().out
    assert "Fetching SSSP 1.3.0 PBE efficiency from http://127.0.0.1" in said
    assert "4 files of SSSP 1.3.0 PBE efficiency" in said
    assert f"Labels: pw.x 7.2 ({pw})" in said
    assert read_json(tmp_path / "results" / config.run / "logs" / "program.json")["versions"] == ["7.2"]
    console.check_labelling(config)
    assert "Fetching" not in capsys.readouterr().out


@pytest.mark.parametrize("second", [None, "b"])
def test_sssp_files_in_part_or_apart_are_fetched_into_one_folder(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str | None
) -> None:
    """pw.x reads from one folder: a file in the user's must not keep it from those in the cache."""
    (tmp_path / "pseudopotentials").mkdir()
    (tmp_path / "pseudopotentials" / file_name("Fe", "efficiency")).write_bytes(upf("Fe"))
    if second:
        (tmp_path / second).mkdir()
        (tmp_path / second / file_name("Pt", "efficiency")).write_bytes(upf("Pt"))
        monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path / second))
    config, _ = expand({"composition": "FePt"})
    assert to_fetch(config)
    fetch_missing(config)
    assert to_fetch(config) == {}
    settings = EspressoSettings.from_config(config.labelling.model_dump())
    folders = {settings.pseudopotential(element).path.parent for element in ("Fe", "Pt")}
    assert folders == {sssp.cache_folder("efficiency")}


def test_a_mirror_may_be_a_folder(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sssp.URL_VARIABLE, f"{site.as_uri()}/{{archive}}")
    (path,) = download.fetch(["Si"], "precision", say=lambda text: None)
    assert path.read_bytes() == upf("Si", "precision")
    assert Quiet.asked == []


def test_the_command_takes_a_config_file(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my.yaml").write_text("composition: FePt\nlabelling: {protocol: stringent}\n")
    assert listing.main([str(tmp_path / "my.yaml")]) == 0
    assert "Pt.pbe-precision.UPF" in capsys.readouterr().out
    (tmp_path / "my.yaml").write_text("composition: [")
    assert listing.main([str(tmp_path / "my.yaml")]) == 2
    assert "cannot be read as YAML" in capsys.readouterr().err


def test_a_config_whose_files_suggest_no_cutoff_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    quickstart = Path(__file__).parents[3] / "config/examples/quickstart.yaml"
    assert listing.main([str(quickstart), "--list"]) == 0
    said = capsys.readouterr().out
    assert "ecutwfc_ry 20, ecutrho_ry 80: written; the files suggest none" in said
