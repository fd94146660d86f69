"""A real single-node Slurm with accounting, in a private directory, for the duration of a `with` block.

munged, mariadbd, slurmdbd, slurmctld and slurmd run as children of this process on loopback ports of their
own, with a configuration, spool and database that nobody else uses: a Slurm installed on the machine is
neither read nor disturbed, and two clusters can run side by side.

Settings follow the manual pages slurm.conf(5), slurmdbd.conf(5) and munged(8) of Slurm 22.05 and munge 0.5.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEBIAN_PACKAGES = (
    "munge",
    "mariadb-client-core",
    "mariadb-server-core",
    "slurmdbd",
    "slurmctld",
    "slurmd",
    "slurm-client",
)
PROGRAMS = (
    "munged",
    "mariadbd",
    "mariadb-install-db",
    "slurmdbd",
    "slurmctld",
    "slurmd",
    "sacctmgr",
    "srun",
    "setpriv",
)
CLUSTER_NAME = "loopback"
ACCOUNT = "tests"
PARTITION = "main"
_START_LIMIT_S = 60
_STOP_LIMIT_S = 10
# The daemons live in sbin, which is not on the PATH of every shell.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class ClusterError(RuntimeError):
    """A daemon did not start; the message ends with what it wrote."""


@dataclass(frozen=True)
class SlurmCluster:
    """A running cluster: pass `env` to every subprocess that shall use it."""

    directory: Path
    env: dict[str, str]
    account: str = ACCOUNT
    partition: str = PARTITION

    def run(self, *command: str) -> str:
        """Run a Slurm client command against this cluster and return its stdout.

        Raises:
            subprocess.CalledProcessError: the command failed.
        """
        return subprocess.run(command, env=self.env, check=True, capture_output=True, text=True, timeout=60).stdout

    def jobs(self) -> list[dict[str, str]]:
        """Every job that accounting knows, oldest first, one dict of sacct's fields per job (no steps).

        The Slurm executor of Snakemake names a job by its run and writes the rule into the comment, as
        `rule_<rule>_wildcards_<wildcards>`.
        """
        fields = (
            *("JobIDRaw", "JobName", "Comment", "State", "ExitCode", "Account", "Partition", "QOS"),
            *("AllocCPUS", "ReqMem", "TimelimitRaw", "ElapsedRaw"),
        )
        out = self.run(
            "sacct",
            "--allocations",
            "--allusers",
            "--parsable2",
            "--noheader",
            "--starttime=now-1days",
            f"--format={','.join(fields)}",
        )
        rows = [dict(zip(fields, line.split("|"), strict=True)) for line in out.splitlines()]
        return sorted(rows, key=lambda row: int(row["JobIDRaw"]))


def why_unavailable() -> str | None:
    """The reason why no cluster can start here, in words, or None when one can."""
    if os.geteuid() != 0:
        return "a real Slurm needs root: its daemons start jobs for other users"
    missing = [name for name in PROGRAMS if shutil.which(name, path=_SEARCH_PATH) is None]
    if missing:
        return f"missing {', '.join(missing)}: apt-get install {' '.join(DEBIAN_PACKAGES)}"
    return None


@contextlib.contextmanager
def running_cluster(cpus: int = 2, memory_mb: int = 8000) -> Iterator[SlurmCluster]:
    """Start a cluster of one node, yield it when the node is idle, and stop exactly what was started.

    Args:
        cpus: CPUs the node offers; need not be what the machine has.
        memory_mb: memory the node offers in MB; jobs are scheduled by it, not confined to it.

    Raises:
        ClusterError: a daemon ended early or was not ready in time.
    """
    # Not pytest's tmp_path: munged refuses a socket that other users could not reach, and a socket's path
    # must fit into 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="slurm-"))
    directory.chmod(0o755)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "SRUN"))}
    env["SLURM_CONF"] = str(directory / "slurm.conf")
    env["PATH"] = os.pathsep.join([str(directory / "bin"), str(Path(sys.executable).parent), _SEARCH_PATH])
    cluster = SlurmCluster(directory, env)
    try:
        _write_srun(directory / "bin", env["SLURM_CONF"])
        with contextlib.ExitStack() as daemons:
            _start(cluster, daemons, cpus, memory_mb)
            try:
                yield cluster
            finally:
                _cancel_jobs(cluster)
    finally:
        _end_orphans(env["SLURM_CONF"])
        shutil.rmtree(directory, ignore_errors=True)


def _start(cluster: SlurmCluster, daemons: contextlib.ExitStack, cpus: int, memory_mb: int) -> None:
    here = cluster.directory
    db_port, dbd_port, ctld_port, d_port = _free_ports(4)
    db_password = secrets.token_hex(16)

    def daemon(ready: Callable[[], bool], *command: str) -> None:
        daemons.enter_context(_daemon(cluster, ready, *command))

    def answers(*command: str) -> bool:
        done = subprocess.run(command, env=cluster.env, capture_output=True, text=True, timeout=60)
        return done.returncode == 0

    _write_munge_key(here / "munge")
    munge_socket = here / "munge" / "socket"
    daemon(
        lambda: answers("munge", "--no-input", f"--socket={munge_socket}"),
        *("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "--pdeathsig=TERM"),
        *("munged", "--foreground", f"--socket={munge_socket}", f"--key-file={here}/munge/key"),
        *(f"--{name}-file={here}/munge/{name}" for name in ("pid", "log", "seed")),
    )

    _create_database(cluster, db_password)
    daemon(
        lambda: _listens(db_port),
        *("setpriv", "--pdeathsig=TERM", "mariadbd", "--no-defaults", "--user=root"),
        *(f"--datadir={here}/db", f"--socket={here}/db.sock", f"--pid-file={here}/db.pid"),
        *(f"--init-file={here}/init.sql", "--bind-address=127.0.0.1", f"--port={db_port}"),
        *("--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"),
    )

    host = socket.gethostname().partition(".")[0]
    _write_slurmdbd_conf(here, munge_socket, dbd_port, db_port, db_password)
    _write_slurm_conf(here, munge_socket, host, (ctld_port, d_port, dbd_port), cpus, memory_mb)
    daemon(
        lambda: answers("sacctmgr", "--noheader", "list", "cluster"),
        *("setpriv", "--pdeathsig=TERM", "slurmdbd", "-D"),
    )
    # The controller must find itself in accounting, or its first jobs never reach sacct.
    cluster.run("sacctmgr", "--immediate", "add", "cluster", CLUSTER_NAME)
    cluster.run("sacctmgr", "--immediate", "add", "account", ACCOUNT, f"cluster={CLUSTER_NAME}")
    cluster.run("sacctmgr", "--immediate", "add", "user", "root", f"account={ACCOUNT}")
    daemon(lambda: answers("scontrol", "ping"), "setpriv", "--pdeathsig=TERM", "slurmctld", "-D")
    daemon(
        lambda: cluster.run("sinfo", "--noheader", "--format=%T").strip() == "idle",
        *("setpriv", "--pdeathsig=TERM", "slurmd", "-D", "-N", host),
    )


def _write_srun(bin_directory: Path, slurm_conf: str) -> None:
    """Put an srun first on the PATH that knows this cluster even without SLURM_CONF.

    snakemake-executor-plugin-slurm-jobstep drops that variable before it calls srun inside a job, which is
    right only where the configuration is the machine's own.
    """
    bin_directory.mkdir()
    wrapper = bin_directory / "srun"
    real = shutil.which("srun", path=_SEARCH_PATH)
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={slurm_conf} exec {real} "$@"\n')
    wrapper.chmod(0o755)


def _write_munge_key(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    key = directory / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    for path in (directory, key):
        shutil.chown(path, "munge", "munge")


def _create_database(cluster: SlurmCluster, password: str) -> None:
    here = cluster.directory
    installed = subprocess.run(
        ["mariadb-install-db", "--no-defaults", "--user=root", "--force", f"--datadir={here}/db"],
        env=cluster.env,
        capture_output=True,
        text=True,
    )
    if installed.returncode != 0:
        raise ClusterError(f"mariadb-install-db failed:\n{installed.stdout}{installed.stderr}")
    script = here / "init.sql"
    script.touch(mode=0o600)
    script.write_text(
        f"CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';\n"
    )


def _write_slurmdbd_conf(here: Path, munge_socket: Path, port: int, db_port: int, password: str) -> None:
    conf = here / "slurmdbd.conf"
    conf.touch(mode=0o600)  # slurmdbd refuses a file that others can read
    conf.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={munge_socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db_port}
StorageUser=slurm
StoragePass={password}
PidFile={here}/slurmdbd.pid
""")


def _write_slurm_conf(
    here: Path, munge_socket: Path, host: str, ports: tuple[int, int, int], cpus: int, memory_mb: int
) -> None:
    ctld_port, d_port, dbd_port = ports
    for name in ("state", "spool"):
        (here / name).mkdir(mode=0o755)
    # linuxproc and task/none: no cgroups, which containers and CI rarely delegate.
    # cgroup/v1: slurmd insists on loading a cgroup plugin; this one touches nothing until it is used, so it
    # starts where no cgroups are mounted, and where only version 2 is.
    (here / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    # config_overrides: the node is what is written here, whatever the machine has.
    # job_comment: the comment is how Snakemake's executor tells which rule a job ran.
    # AccountingStoragePass: with auth/munge this is the socket for slurmdbd's clients, who ignore AuthInfo.
    # batch_sched_delay: start a batch job at once, not up to 3 s later.
    (here / "slurm.conf").write_text(f"""\
ClusterName={CLUSTER_NAME}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
AuthType=auth/munge
AuthInfo=socket={munge_socket}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=1000,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
DefMemPerCPU={memory_mb // cpus}
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={munge_socket}
AccountingStoreFlags=job_comment
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName={PARTITION} Nodes={host} Default=YES MaxTime=INFINITE State=UP
""")


@contextlib.contextmanager
def _daemon(cluster: SlurmCluster, ready: Callable[[], bool], *command: str) -> Iterator[None]:
    """Run a daemon in the foreground until the block ends; pdeathsig ends it even if we are killed."""
    name = next(word for word in command if word in PROGRAMS and word != "setpriv")
    log = cluster.directory / f"{name}.out"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            env=cluster.env,
            cwd=cluster.directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must reach the test first, the daemons in order
        )
    try:
        deadline = time.monotonic() + _START_LIMIT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
                raise ClusterError(f"{name} {state}:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cancel_jobs(cluster: SlurmCluster) -> None:
    deadline = time.monotonic() + _STOP_LIMIT_S
    with contextlib.suppress(subprocess.SubprocessError):
        while cluster.run("squeue", "--noheader").strip() and time.monotonic() < deadline:
            cluster.run("scancel", f"--partition={PARTITION}")
            time.sleep(0.2)


def _end_orphans(slurm_conf: str) -> None:
    """Kill what jobs of this cluster left behind: steps and their children carry its SLURM_CONF."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            environ = (proc / "environ").read_bytes().split(b"\0")
            is_step = (proc / "comm").read_text().startswith("slurmstepd")
        except OSError:
            continue
        ours = f"SLURM_CONF={slurm_conf}".encode() in environ
        if ours and (is_step or any(entry.startswith(b"SLURM_JOB_ID=") for entry in environ)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(proc.name), signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
