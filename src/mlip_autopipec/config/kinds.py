"""The kinds of values that a key of the config may have, and the base of its sections."""

from __future__ import annotations

from importlib.metadata import entry_points
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mlip_autopipec.config.elements import SYMBOLS
from mlip_autopipec.config.prototype_names import canonical
from mlip_autopipec.errors import nearest

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def apart(values: list[float]) -> list[float]:
    if len({f"{value:.0f}" for value in values}) < len(values):
        raise ValueError("two temperatures are the same to 1 K; more walkers per temperature have a key of their own")
    return values


def listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
FileName = Annotated[str, Field(min_length=1)]
Files = Annotated[list[FileName], BeforeValidator(listed, json_schema_input_type=str | list[str])]
BUILT_IN_TRAINERS = ("linear-ace", "pacemaker")
TRAINER_GROUP = "mlip_autopipec.trainers"  # entry points of other packages
BUILT_IN_ENGINES = ("espresso", "calculator", "vasp")
ENGINE_GROUP = "mlip_autopipec.labellers"  # entry points of other packages
BUILT_IN_SAMPLERS = ("direct", "farthest-point", "d-optimal", "random", "stratified-random")
SAMPLER_GROUP = "mlip_autopipec.samplers"  # entry points of other packages
FRAME_TYPES = (
    "crystal", "molecule", "volume", "strain", "rattle", "bond_breaking", "vacancy", "interstitial", "antisite",
    "surface", "melt", "amorphous", "normal_mode", "stretch", "dimer", "cluster", "condensed", "own", "explored",
)  # fmt: skip
WALKS = ("heat", "quench", "swaps", "cells", "strains", "paths")  # beside plain molecular dynamics


def known_trainer(name: str) -> str:
    return _known(name, "trainer", BUILT_IN_TRAINERS, TRAINER_GROUP)


def known_engine(name: str) -> str:
    return _known(name, "labelling engine", BUILT_IN_ENGINES, ENGINE_GROUP)


def known_sampler(name: str) -> str:
    return _known(name, "sampler", BUILT_IN_SAMPLERS, SAMPLER_GROUP)


def known_type(name: str) -> str:
    if name not in FRAME_TYPES:
        raise ValueError(f"{name!r} is no type of frame. Known: {', '.join(FRAME_TYPES)}.{nearest(name, FRAME_TYPES)}")
    return name


def known_walk(name: str) -> str:
    if name not in WALKS:
        raise ValueError(f"{name!r} is no kind of walker. Known: {', '.join(WALKS)}.{nearest(name, WALKS)}")
    return name


def _known(name: str, what: str, built_in: tuple[str, ...], group: str) -> str:
    known = {*built_in, *entry_points(group=group).names}
    if name not in known:
        raise ValueError(f"{name!r} is no {what}. The known {what}s: {', '.join(sorted(known))}.{nearest(name, known)}")
    return name


def alone(value: Any) -> Any:
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def known_generator(name: str) -> str:
    if name not in GENERATORS:
        raise ValueError(f"{name!r} is no generator. Known: {', '.join(GENERATORS)}.{nearest(name, GENERATORS)}")
    return name


def in_order(counts: dict[str, int]) -> dict[str, int]:
    """The order must not depend on how a file was written: files would be made again."""
    return {name: counts[name] for name in GENERATORS if name in counts}


def walks_in_order(counts: dict[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in WALKS if name in counts}


def checksum(text: str) -> str:
    if text and (len(text) != 64 or set(text.lower()) - set("0123456789abcdef")):
        raise ValueError(f"{text!r} is no SHA-256. Write its 64 hexadecimal digits, as sha256sum prints them.")
    return text


def known_symbol(name: str) -> str:
    if name not in SYMBOLS:
        raise ValueError(f"{name!r} is no element. Write element symbols.{nearest(name, SYMBOLS)}")
    return name


def only_files(value: Any) -> Any:
    """Names of files alone stand for the section `structures` with them."""
    return {"files": value} if isinstance(value, (str, list)) else value


def nested(ladder: list[list[int]]) -> list[list[int]]:
    for before, after in pairwise(ladder):
        if before == after or len(after) < len(before) or any(a < b for b, a in zip(before, after, strict=False)):
            raise ValueError(f"{after} after {before}: write the smallest first, and none of its degrees larger")
    return ladder


AtLeastOne = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Counts = Annotated[list[Count], BeforeValidator(alone, json_schema_input_type=Count | list[Count])]
Words = Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])]
FrameTypes = Annotated[
    list[Annotated[str, AfterValidator(known_type)]], BeforeValidator(listed, json_schema_input_type=str | list[str])
]
Degrees = Annotated[list[Count], Field(min_length=2, max_length=4)]
Tried = Annotated[
    list[Positive], Field(min_length=1), BeforeValidator(alone, json_schema_input_type=Positive | list[Positive])
]
Trainer = Annotated[str, AfterValidator(known_trainer)]
Engine = Annotated[str, AfterValidator(known_engine)]
Sampler = Annotated[str, AfterValidator(known_sampler)]
MagneticState = Literal["high", "low", "antiferro", "ferri"]
MagneticStates = Annotated[
    list[MagneticState], BeforeValidator(listed, json_schema_input_type=MagneticState | list[MagneticState])
]
Checksum = Annotated[str, AfterValidator(checksum)]
Generator = Annotated[str, AfterValidator(known_generator)]
Symbol = Annotated[str, AfterValidator(known_symbol)]
Prototype = Annotated[str, AfterValidator(canonical)]
Prototypes = Annotated[list[Prototype], BeforeValidator(listed, json_schema_input_type=str | list[str])]
Source = Literal["prototypes", "sqs", "random", "molecule", "structure"]
Sources = Annotated[
    list[Source], Field(min_length=1), BeforeValidator(listed, json_schema_input_type=Source | list[Source])
]
Lattice = Literal["fcc", "bcc", "hcp", "diamond"]
Lattices = Annotated[list[Lattice], BeforeValidator(listed, json_schema_input_type=Lattice | list[Lattice])]
MaterialClass = Literal["metal", "alloy", "ionic", "covalent", "molecular", "noble"]
Classes = Annotated[
    list[MaterialClass], Field(min_length=1), BeforeValidator(listed, json_schema_input_type=str | list[MaterialClass])
]
GENERATORS = (
    "volumes", "strains", "rattles", "bonds", "vacancies", "interstitials", "antisites", "surfaces", "melt", "quench",
    "normal_modes", "stretches", "dimers", "clusters", "condensed",
)  # fmt: skip
VACUUM_ANGSTROM = 6.0  # the gap from which on a frame counts as having vacuum; frames.VACUUM_ANGSTROM
Temperatures = Annotated[Tried, AfterValidator(apart)]
Pressures = Annotated[
    list[FiniteFloat], Field(min_length=1), BeforeValidator(alone, json_schema_input_type=float | list[float])
]
Walkers = Annotated[
    dict[Annotated[str, AfterValidator(known_walk)], Annotated[int, Field(ge=0)]], AfterValidator(walks_in_order)
]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors; text that reads as a number is taken as one (YAML's 1e-9)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
