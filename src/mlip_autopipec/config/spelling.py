"""What a wrong or doubtful formula was meant to be: suggestions and questions, never a guess."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from itertools import pairwise

from ase.data import atomic_names

from mlip_autopipec.config import molecules
from mlip_autopipec.config.bonding import group
from mlip_autopipec.config.charges import balanced
from mlip_autopipec.config.elements import RADIOACTIVE, SYMBOLS, electronegativity, has_pseudopotential, is_metal
from mlip_autopipec.config.formulas import FormulaFault, read, tidy, total
from mlip_autopipec.config.ions import anion_in

_ELEMENT_NAMES = {
    **{name.lower(): SYMBOLS[i] for i, name in enumerate(atomic_names[1:]) if name and i < len(SYMBOLS)},
    "aluminium": "Al", "sulphur": "S", "caesium": "Cs", "diamond": "C", "graphite": "C",
}  # fmt: skip
TETRAHEDRAL = frozenset({"C", "Si", "Ge", "Sn"})
_PIECE = re.compile(r"[A-Za-z]+|[^A-Za-z]+")
_MOST_READINGS = 64


def meant(text: str) -> list[str]:
    """Formulas that a text which cannot be read may have been meant to be, the likeliest first (at most three)."""
    if text.lower() in _ELEMENT_NAMES:
        return [_ELEMENT_NAMES[text.lower()]]
    candidates: list[str] = []
    bare = re.sub(r"(\^?\d*[+-]+\d*)$", "", text)  # a charge at the end
    hydrate = re.sub(r"\s*[·*.]\s*(\d*(?:\.\d+)?)((?:[A-Z][a-z]?\d*)+)$", r"(\2)\1", bare)
    joined = re.sub(r"[^A-Za-z0-9.()]", "", bare)
    for version in (bare, hydrate, re.sub(r"(\d),(\d)", r"\1.\2", bare), joined):
        candidates += [c for c in _readings(version) if c not in candidates]
        if candidates:
            break
    sound = [c for c in candidates if _plausible(c)]
    likely = sound or [c for c in candidates if _ordinary(c)] or candidates
    return likely[:3]


def hint(text: str) -> str:
    """A sentence ' Did you mean ...?' for a text that cannot be read as a formula, or ''."""
    named = molecules.of_name(text)
    if named:
        return f" For the molecule write 'molecule: {text.strip()}'."
    found = meant(text)
    if found:
        return f" Did you mean {_either(found)}?"
    word = re.search(r"[A-Za-z]+", text)
    if not word:
        return ""
    if len(word.group(0)) > 3:
        close = get_close_matches(word.group(0).lower(), _ELEMENT_NAMES, n=1)
        return f" Did you mean {close[0]}, '{_ELEMENT_NAMES[close[0]]}'?" if close else ""
    alike = [s for s in SYMBOLS if s[0] == word.group(0)[0].upper() and has_pseudopotential(s)]
    return f" Elements that begin with {word.group(0)[0].upper()}: {', '.join(alike)}." if alike else ""


def question(text: str) -> str:
    """What a formula that can be read may be instead (Co for CO), as 'A or B'; '' when it is clear."""
    likely = _plausible(text)
    others = [o for o in _with_small_letters(text) if _ordinary(o) or (not likely and _is_element(o))]
    others = [o for o in others if len(total(read(o))) > 1 or _is_element(o)]  # nobody writes Cs2
    recognised = likely and _recognised(text)
    sound = [o for o in others if _is_element(o) or (not recognised and _plausible(o, rare=False))]
    all_capitals = not re.search(r"[a-z]", text)
    if not others or (not sound and (likely or not all_capitals)) or (likely and not all_capitals):
        return ""
    amounts = total(read(text))
    known = molecules.of_formula(amounts)
    return f"'{text}' ({known[0].name if known else ' + '.join(amounts)}) or {_either((sound or others)[:3])}"


def unambiguous(text: str) -> str:
    """The formula in small letters if these can mean no likelier one, else as it is written: co, CO, sio2."""
    word = tidy(text)
    return word.lower() if _readings(word.lower())[:1] == [word] else word


def hydrate(text: str) -> str:
    """CuSO4(H2O)5 for CuSO4.5H2O, whose dot the grammar takes for a decimal point; '' for anything else."""
    found = re.fullmatch(r"(.*\d)\.(\d+)(H2O|NH3)", text)
    return f"{found[1]}({found[3]}){'' if found[2] == '1' else found[2]}" if found else ""


def completed(text: str) -> str:
    """What a formula may mean in which an element that shares its sites has no amount: Al0.9Mg0.1 for Al0.9Mg.

    Fractions of elements on the same sites add up to whole numbers. Elements share sites when all are metals or all
    tetrahedral (an alloy), or when they are of one group of the periodic table (Ba0.5SrTiO3); those that do not may be
    there in part by themselves (PdH0.5, Fe0.95O, Li0.5CoO2). '' when nothing is missing.
    """
    terms = re.findall(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?", text)
    if "".join(symbol + amount for symbol, amount in terms) != text or len(terms) < 2:
        return ""  # brackets
    symbols = [symbol for symbol, _ in terms]
    alloy = all(map(is_metal, symbols)) or set(symbols) <= TETRAHEDRAL
    partly = {symbol: float(amount) for symbol, amount in terms if amount and 0 < float(amount) < 1}
    left_out = [symbol for symbol, amount in terms if not amount]
    if alloy and len(left_out) > 1:
        return ""  # relative amounts: Al0.3CoCrFeNi
    for missing in left_out:
        shares = [x for s, x in partly.items() if alloy or ("H" not in (s, missing) and group(s) == group(missing))]
        if shares and 0 < (rest := round(1 - sum(shares), 6)) < 1:
            return "".join(f"{s}{f'{rest:g}' if s == missing else a}" for s, a in terms)
    return ""


def explicit(text: str) -> str:
    """The same composition with every amount written, which cannot be mistaken: CO becomes C1O1."""
    return "".join(f"{symbol}{amount:g}" for symbol, amount in total(read(text)).items())


def _recognised(text: str) -> bool:
    """Whether it is a known molecule, or a salt of a known polyatomic ion; CO2 is, but COO is not how one writes it."""
    terms = read(text)
    amounts = total(terms)
    known = bool(molecules.of_formula(amounts)) or bool(anion_in(amounts))
    return known and (len(terms) == len(amounts) or "H" in amounts)


def _is_element(text: str) -> bool:
    return text in SYMBOLS and has_pseudopotential(text)


def _either(words: list[str]) -> str:
    names = {symbol: name for name, symbol in reversed(_ELEMENT_NAMES.items())}
    return " or ".join(f"'{word}' ({names[word]})" if word in names else f"'{word}'" for word in words)


def _readings(text: str) -> list[str]:
    """All ways to read the letters of a text as element symbols, whatever their case; fewest symbols first."""
    ways = [""]
    for piece in _PIECE.findall(text):
        ends = _split(piece) if piece[0].isalpha() else [piece]
        ways = [way + end for way in ways for end in ends][:_MOST_READINGS]
    readable = [way for way in ways if _can_be_read(way)]
    return sorted(readable, key=lambda way: sum(character.isupper() for character in way))


@cache
def _split(letters: str) -> list[str]:
    if not letters:
        return [""]
    found = []
    for length in (2, 1):
        symbol = letters[:length].capitalize()
        if len(letters) >= length and symbol in SYMBOLS:
            found += [symbol + rest for rest in _split(letters[length:])]
    return found[:_MOST_READINGS]


def _can_be_read(text: str) -> bool:
    try:
        read(text)
    except FormulaFault:
        return False
    return True


def _with_small_letters(text: str) -> list[str]:
    """The formula with two neighbouring one-letter symbols joined to one, in all ways: SIC gives SiC."""
    places = [i for i in range(1, len(text)) if text[i - 1 : i + 1].isupper()]
    places = [i for i in places if text[i - 1 : i + 1].capitalize() in SYMBOLS and not text[i + 1 : i + 2].islower()]
    found = [text]
    for i in places:
        found += [way[:i] + way[i].lower() + way[i + 1 :] for way in found if way[i - 1].isupper()]
        found = found[:_MOST_READINGS]
    return sorted(found[1:], key=lambda way: sum(character.isupper() for character in way))


def _ordinary(text: str) -> bool:
    """Whether every element has a pseudopotential and is not a rare radioactive one."""
    return all(has_pseudopotential(s) and s not in RADIOACTIVE for s, _ in read(text))


def _plausible(text: str, *, rare: bool = True) -> bool:
    """Whether a chemist would write this: a known molecule, one element, metals alone, or a neutral compound.

    A neutral compound has its electropositive elements first and names none twice.
    """
    terms = read(text)
    amounts = total(terms)
    if not _ordinary(text):
        return False
    if len(amounts) == 1:
        return len(terms) == 1 and terms[0][1] == 1
    if molecules.of_formula(amounts) or all(is_metal(s) for s in amounts):
        return True
    chi = [electronegativity(s) or 0.0 for s, _ in terms]
    in_order = all(a <= b + 0.05 for a, b in pairwise(chi)) or "H" in amounts
    return len(terms) == len(amounts) and in_order and balanced(amounts, rare=rare, mixed_valence=False) is not None
