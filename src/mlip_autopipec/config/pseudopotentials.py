"""Which pseudopotentials a run uses when its user names none, the cutoffs that go with them, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import ceil

from mlip_autopipec.config.full import Config
from mlip_autopipec.errors import ConfigError, MlipError
from mlip_autopipec.labelling.espresso.pseudopotentials import (
    Pseudopotential,
    complete_first,
    find_pseudopotential,
    sssp_status,
    suggested_cutoffs_ry,
)
from mlip_autopipec.labelling.espresso.sssp import (
    NAME,
    Library,
    library_of,
    sssp_entry,
    sssp_table,
)

FUNCTIONALS = ("PBE", "PBESOL", "PZ", "PW-LDA")  # the order of preference when a set of one functional is looked for
DENSITY_FACTOR = 8  # least ratio of the cutoffs of density and wavefunctions for ultrasoft and PAW files
_GIVE = "Put the file into one of these folders, or write labelling.pseudopotentials and labelling.pseudo_dir."


def choose(
    symbols: Iterable[str],
    folders: Sequence[str],
    named: Mapping[str, str] | None = None,
    protocol: str = "balanced",
) -> tuple[dict[str, str], str]:
    """File name by element, and the reason: a set of one functional from one folder, else SSSP's files.

    pw.x reads from one folder and must not mix functionals, so the set is chosen as a whole: the first folder that has
    PBE files of all elements, in which SSSP's go first; where there is none, a set of PBEsol or LDA; and where nothing
    is installed, SSSP's. A file that suggests no cutoff is not chosen: nobody would know which to take. The protocol
    'stringent' takes SSSP's alone: the cutoffs of other files are not known to be converged.

    Args:
        named: files that the user named; the rest must be of their functional.
        protocol: labelling.protocol.
    """
    library = library_of(protocol)
    symbols, named = list(symbols), dict(named or {})
    wanted = [s for s in symbols if s not in named]
    functionals: tuple[str, ...] = FUNCTIONALS
    places = tuple(folders)
    told = [header for s in named if (header := _named(s, named[s], places)) is not None]
    for header in told:
        if needs_spin_orbit(header):
            raise ConfigError(
                f"labelling.pseudopotentials.{header.element}", header.path.name,
                "a fully relativistic ultrasoft or PAW file: pw.x takes it with spin-orbit coupling alone, which is "
                "not used here",
                "Name a scalar-relativistic file.",
            )  # fmt: skip
    if told:
        functionals = (told[0].functional,)
        if other := next((header for header in told if header.functional != told[0].functional), None):
            raise ConfigError(
                f"labelling.pseudopotentials.{other.element}", other.path.name,
                f"a file of {other.functional}, and {told[0].path.name} is one of {told[0].functional}: pw.x computes "
                "with one functional",
                "Name files of one functional.",
            )  # fmt: skip
        places = (str(told[0].path.parent),)
    for functional in functionals:
        for folder in places:
            found = {s: _best(s, folder, functional, library) for s in wanted}
            chosen = {s: header for s, header in found.items() if header is not None}
            complete = wanted and len(chosen) == len(wanted)
            if complete and (protocol != "stringent" or told or _all_of(library, chosen)):
                names = {s: header.path.name for s, header in chosen.items()}
                return named | names, _reason(chosen, functional, library)
    files = {s: _sssp_file(s, library) for s in wanted}
    absent = f"{'PBE' if not told else told[0].functional} files of all elements are not installed together here"
    if protocol == "stringent":
        absent = "the protocol 'stringent' takes no others"
    return named | files, f"SSSP 1.3.0 {library}, NOT INSTALLED here ({absent})"


def _all_of(library: Library, chosen: Mapping[str, Pseudopotential]) -> bool:
    """Whether these are files of one SSSP library."""
    names = {s: str(sssp_table(library).get(s, {}).get("filename", "")).lower() for s in chosen}
    return all(h.path.name.lower() == names[s] and sssp_status(h) == "verified" for s, h in chosen.items())


def _reason(chosen: Mapping[str, Pseudopotential], functional: str, library: Library) -> str:
    verified = [s for s, header in chosen.items() if sssp_status(header) == "verified"]
    if len(verified) == len(chosen):
        return f"SSSP 1.3.0 {library if _all_of(library, chosen) else '(files of both libraries)'}"
    others = ", ".join(f"{_sssp_file(s, library)}" for s in chosen if s not in verified)
    why = f"{functional} files installed here; SSSP's {others} not found"
    return why if functional == "PBE" else f"{why}, nor PBE files of all elements: labels are {functional}'s"


def _sssp_file(symbol: str, library: Library) -> str:
    entry = sssp_table(library).get(symbol)
    if entry is None:
        raise ConfigError(
            "composition", symbol, f"the SSSP 1.3.0 library has no pseudopotential of {symbol}",
            f"Name a file of your own in labelling.pseudopotentials.{symbol}.",
        )  # fmt: skip
    return str(entry["filename"])


@cache
def _best(symbol: str, folder: str, functional: str, library: Library) -> Pseudopotential | None:
    try:
        found = find_pseudopotential(symbol, [folder], functional=functional, library=library)
    except MlipError:
        return None
    usable = found.kind in ("NC", "US", "PAW") and not needs_spin_orbit(found)
    return found if usable and suggested_cutoffs_ry(found) is not None else None


def needs_spin_orbit(header: Pseudopotential) -> bool:
    """Whether pw.x stops with this file (average_pp: "FR-PP please use lspinorb").

    It averages over the spin-orbit partners of norm-conserving files only.
    """
    return header.relativistic.startswith("full") and header.kind != "NC"


@cache
def _named(symbol: str, name: str, folders: tuple[str, ...]) -> Pseudopotential | None:
    """The header of a named file; None when it is not installed."""
    try:
        return find_pseudopotential(symbol, folders, name)
    except MlipError:
        return None


def _complete_first(names: Mapping[str, str], folders: Sequence[str]) -> list[str]:
    return [str(folder) for folder in complete_first(folders, names.values())]


def installed(symbol: str, name: str, folders: Sequence[str]) -> Pseudopotential | None:
    """The header of a named file; None when it is not installed, or not as it should be."""
    return _named(symbol, name, tuple(folders))


def cutoffs_ry(
    names: Mapping[str, str], folders: Sequence[str], protocol: str = "balanced"
) -> tuple[float, float, str]:
    """Wavefunction and density cutoff in Ry that all files are content with, and the reason.

    Of SSSP's files they are those of the protocol's library, of others what their headers suggest.

    Raises:
        ConfigError: a file that is not SSSP's is missing, or suggests no cutoff.
    """
    suggested, minima, library = {}, [], library_of(protocol)
    folders = _complete_first(names, folders)
    for symbol, name in names.items():
        header = _named(symbol, name, tuple(folders))
        if header is not None:
            cutoffs = suggested_cutoffs_ry(header, library)
            if cutoffs is not None and sssp_status(header) != "verified":
                minima.append(name)
                # The augmentation charges of ultrasoft and PAW files need more than the file's own factor of four
                # (manual of pw.x, ecutrho: 8 to 12).
                factor = 4 if header.kind == "NC" else DENSITY_FACTOR
                cutoffs = float(ceil(cutoffs[0])), max(cutoffs[1], float(factor * ceil(cutoffs[0])))
        elif known := sssp_entry(symbol, name, library):
            cutoffs = float(known[1]["cutoff_wfc"]), float(known[1]["cutoff_rho"])
        else:
            find_again(symbol, name, folders)
        if cutoffs is None:
            raise ConfigError(
                "labelling.ecutwfc_ry", None, f"{name} suggests no cutoff", "Write labelling.ecutwfc_ry (Ry)."
            )
        suggested[symbol] = cutoffs
    wavefunction, density = (float(ceil(max(values))) for values in zip(*suggested.values(), strict=True))
    if minima:
        own = f"the least that {', '.join(minima)} {'asks' if len(minima) == 1 else 'ask'} for in the file's own words"
        return wavefunction, density, f"{own}, not converged by anyone: test higher ones"
    return wavefunction, density, f"the largest that {', '.join(names.values())} asks for"


def unconverged_files(names: Mapping[str, str], folders: Sequence[str]) -> list[str]:
    """Installed files that are not SSSP's: their cutoffs are their makers' minima, which no table has converged."""
    headers = (_named(symbol, name, tuple(folders)) for symbol, name in names.items())
    return [h.path.name for h in headers if h is not None and sssp_status(h) != "verified"]


def find_again(symbol: str, name: str, folders: Sequence[str]) -> None:
    """Say what is wrong with a named file.

    Raises:
        ConfigError: always, unless the file is there and right.
    """
    try:
        find_pseudopotential(symbol, folders, name)
    except MlipError as error:
        raise ConfigError(f"labelling.pseudopotentials.{symbol}", name, str(error).rstrip("."), _GIVE) from None


def all_norm_conserving(names: Mapping[str, str], folders: Sequence[str]) -> bool:
    """Whether every file is norm-conserving, so that a density cutoff of four times the other one is exact.

    A file that is not installed counts by SSSP's word, and one unknown to it as not norm-conserving.
    """
    return all(_kind(symbol, name, folders) == "NC" for symbol, name in names.items())


def _kind(symbol: str, name: str, folders: Sequence[str]) -> str:
    header = _named(symbol, name, tuple(folders))
    if header is not None:
        return header.kind
    known = sssp_entry(symbol, name)
    maker = str(known[1].get("pseudopotential", "")) if known else ""
    return "NC" if maker.startswith(("SG15", "Dojo")) else "US"


def valence_electrons(symbol: str, name: str, folders: Sequence[str]) -> float | None:
    """Valence electrons of a file, None when it is not installed."""
    header = _named(symbol, name, tuple(folders))
    return None if header is None else header.z_valence


def functional_of(names: Mapping[str, str], folders: Sequence[str]) -> str:
    """The functional of the first installed file; PBE, SSSP's, when none is."""
    headers = (_named(symbol, name, tuple(folders)) for symbol, name in names.items())
    return next((header.functional for header in headers if header is not None), "PBE")


def md5_of(names: Mapping[str, str], folders: Sequence[str]) -> dict[str, str]:
    """MD5 by element of the named files: of SSSP's by its tables, of others where they are installed.

    Of a file that is not there yet nothing is known, and no label was made with it.
    """
    found = {}
    folders = _complete_first(names, folders)
    for symbol, name in names.items():
        header, known = _named(symbol, name, tuple(folders)), sssp_entry(symbol, name)
        if header is not None:
            found[symbol] = header.md5
        elif known is not None:
            found[symbol] = str(known[1]["md5"])
    return found


def missing_pseudopotentials(config: Config) -> list[str]:
    """What is missing of the run's pseudopotentials, a line per file; nothing runs without them.

    Files of elements that the composition does not have are not looked for, nor any with an engine that has no use
    for them.
    """
    labelling = config.labelling
    missing = []
    if labelling.engine != "espresso":
        return []
    for symbol in config.elements:
        name = labelling.pseudopotentials.get(symbol)
        if name is None:
            missing.append(f"{symbol}: no file is named in labelling.pseudopotentials")
        elif _named(symbol, name, tuple(labelling.pseudo_dir)) is None:
            known = sssp_entry(symbol, name, library_of(labelling.protocol))
            sssp = f" (of the library {NAME} {known[0]})" if known else ""
            try:
                find_again(symbol, name, labelling.pseudo_dir)
            except ConfigError as error:
                reason = "is not installed" if "not found" in error.problem else error.problem
                missing.append(f"{symbol}: {name}{sssp} {reason}")
    return missing


def forget_files() -> None:
    """Look at the folders anew: files have come or gone."""
    _best.cache_clear()
    _named.cache_clear()
