"""A real Slurm on this one machine: controller, node and munge, as Debian packages them (slurmctld, slurmd, slurm-client, munge).

python tests/clusters/one_node_slurm.py FOLDER     up until a key is pressed; then: export SLURM_CONF=FOLDER/slurm.conf
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
INSTALL = "apt-get install slurmctld slurmd slurm-client munge"
MUNGE_FOLDERS = ("/etc/munge", "/run/munge", "/var/log/munge", "/var/lib/munge")
SETTINGS = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16917
SlurmdPort=16918
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why there can be no Slurm here; '' where there can."""
    if missing := [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]:
        return f"Slurm is not installed ({', '.join(missing)}); install it with: {INSTALL}"
    return "" if os.geteuid() == 0 else "a Slurm of its own needs root"


@contextmanager
def slurm_up(folder: Path) -> Iterator[dict[str, str]]:
    """The environment variables with which its commands reach it, while it is up."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    settings = folder / "slurm.conf"
    settings.write_text(SETTINGS.format(folder=folder, host=socket.gethostname(), cores=os.cpu_count()))
    environment = {**os.environ, "SLURM_CONF": str(settings), "PATH": _path()}
    _munge_up(environment)
    try:
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([daemon, "-f", settings], env=environment, check=True)
        _wait_for(lambda: "idle" in _said(["sinfo", "--noheader", "--format", "%t"], environment))
        yield {name: environment[name] for name in ("SLURM_CONF", "PATH")}
    finally:
        subprocess.run(["scancel", "--user", "root"], env=environment)
        for daemon in ("slurmd", "slurmctld"):
            if (pid := folder / f"{daemon}.pid").exists():
                os.kill(int(pid.read_text()), 15)


def _munge_up(environment: dict[str, str]) -> None:
    """Who is who: munge has a key of this machine, and a daemon."""
    if subprocess.run(["pgrep", "-x", "munged"], capture_output=True).returncode == 0:
        return
    key = Path("/etc/munge/munge.key")
    for name in MUNGE_FOLDERS:
        Path(name).mkdir(parents=True, exist_ok=True)
    if not key.exists():
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
    for name in (*MUNGE_FOLDERS, key):
        shutil.chown(name, "munge", "munge")
    subprocess.run(["runuser", "--user", "munge", "--", "munged"], env=environment, check=True)


def _wait_for(is_so, seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "Slurm did not come up"
        time.sleep(0.2)


def _said(words: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(words, env=environment, capture_output=True, text=True).stdout


def _path() -> str:
    """Debian keeps daemons where not every user looks."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


if __name__ == "__main__":
    with slurm_up(Path(sys.argv[1]).resolve()) as reached:
        input(f"export SLURM_CONF={reached['SLURM_CONF']}")
