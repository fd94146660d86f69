#!/usr/bin/env bash
# Install what is missing: `setup.sh python` the virtual environment, `setup.sh espresso` pw.x and the quickstart's
# pseudopotential, `setup.sh surrogate` MACE's weights where there is a network, `setup.sh slurm` the programs of the
# Slurm test. Everything that is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# apt works for root, or through sudo where sudo asks no password.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
can_apt() { command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }
apt_install() {
    say "installing $* with apt"
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null || say "apt-get update failed; trying with the lists that are there"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" >/dev/null \
        || fail "apt could not install $*: see its message above, mend it (or install them by hand) and run again."
}

python_environment() {
    local stamp=.venv/.installed begun=.venv/.begun wanted
    wanted=$(cat envs/requirements.txt pyproject.toml | sha256sum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
    # A package that pip was writing when it was interrupted counts as installed for pip, without its programs.
    if [ -f "$begun" ]; then
        say "the last installation of the Python packages did not finish: beginning again"
        rm -rf .venv
    fi
    local python='' candidate
    for candidate in python3 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || fail "Python 3.11 or 3.12 is needed and not on the PATH: install it and run again."
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "creating .venv with $("$python" --version)"
        if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
            can_apt || fail "'$python -m venv' does not work: install the package python3-venv and run again."
            apt_install python3-venv
            "$python" -m venv --clear .venv || fail "'$python -m venv' does not work."
        fi
    fi
    say "installing Python packages (some minutes the first time)"
    touch "$begun"
    local install='.venv/bin/python -m pip install -qq --disable-pip-version-check'
    # mace-torch asks for e3nn 0.4.4, sevenn for 0.5 or later. With 0.5.1 both run, and MACE's numbers are the same; pip
    # does not know that, so mace-torch is installed after its dependencies and without a look at them.
    $install --no-warn-conflicts -r <(grep -v '^mace-torch==' envs/requirements.txt) \
        && $install --no-deps -r envs/requirements.txt \
        && $install --no-deps -e . \
        || fail "the Python packages could not be installed: see pip's message above, mend it and run again."
    rm "$begun"
    printf '%s\n' "$wanted" >"$stamp"
}

espresso() {
    local pseudo=/usr/share/espresso/pseudo/Si.pz-vbc.UPF
    if ! command -v pw.x >/dev/null && [ ! -x .qe/bin/pw.x ]; then
        if can_apt; then
            apt_install quantum-espresso quantum-espresso-data
        elif conda=$(command -v mamba || command -v micromamba || command -v conda); then
            say "installing Quantum ESPRESSO from conda-forge into .qe"
            "$conda" create --yes --quiet --prefix .qe --channel conda-forge qe >/dev/null
        else
            fail "pw.x is not on the PATH and cannot be installed here (no root, no sudo without a password, no conda). Install Quantum ESPRESSO, or load its module, and run again."
        fi
    fi
    if [ ! -f "$pseudo" ] && [ ! -f pseudopotentials/Si.pz-vbc.UPF ]; then
        if can_apt; then
            apt_install quantum-espresso-data
        elif command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
            say "unpacking Debian's pseudopotentials into ./pseudopotentials"
            local scratch
            scratch=$(mktemp -d)
            mkdir -p pseudopotentials
            (cd "$scratch" && apt-get -qq download quantum-espresso-data && dpkg-deb -x ./*.deb .) \
                && cp "$scratch$pseudo" pseudopotentials/ || true
            rm -r "$scratch"
        fi
        if [ ! -f "$pseudo" ] && [ ! -f pseudopotentials/Si.pz-vbc.UPF ]; then
            fail "Si.pz-vbc.UPF is missing: put it into ./pseudopotentials (it is in Debian's package quantum-espresso-data and on the Quantum ESPRESSO web site) and run again."
        fi
    fi
}

surrogate() {
    # Asked once for each .venv: a machine without a network is not held up at every make.
    [ -f .venv/.surrogate ] && return
    .venv/bin/python -m mlip_autopipec.surrogates fetch mace-mp --if-reachable 5 2>&1 | sed 's/^/setup: /' || true
    touch .venv/.surrogate
}

slurm() {
    local PATH=$PATH:/usr/sbin:/sbin
    command -v slurmctld >/dev/null && command -v slurmdbd >/dev/null && command -v slurmd >/dev/null \
        && command -v munged >/dev/null && command -v mariadbd >/dev/null && command -v sacct >/dev/null && return
    if [ "$(id -u)" = 0 ] && can_apt; then
        apt_install munge mariadb-client-core mariadb-server-core slurmdbd slurmctld slurmd slurm-client
    else
        say "Slurm's programs are not installed and need root: its test will be skipped."
    fi
}

for part in "$@"; do
    case $part in
        python) python_environment ;;
        espresso) espresso ;;
        surrogate) surrogate ;;
        slurm) slurm ;;
        *) fail "unknown part '$part'" ;;
    esac
done
