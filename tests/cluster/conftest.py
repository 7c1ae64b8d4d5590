"""A real SLURM of one node, in a folder of its own, while the tests run: munged, slurmctld and slurmd."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
AuthType=auth/munge
# The second number is how long a job that was queued again waits, else two minutes.
AuthInfo=socket={place}/munge.socket,cred_expire=2
SlurmUser=root
SlurmdUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
KillWait=2
MinJobAge=3600
JobRequeue=1
ReturnToService=2
SwitchType=switch/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """Start the daemons and return their folder; clients find them by SLURM_CONF."""
    missing = [name for name in DAEMONS if not shutil.which(name)]
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons need root")
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurmctld slurmd slurm-client munge")
    # Sockets have short names, and munge wants no folder above them that others may write to.
    place = Path(tempfile.mkdtemp(prefix="sereno-slurm-", dir="/run"))
    place.chmod(0o755)
    try:
        _start(place)
        yield place
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            _stop(place / f"{name}.pid")
        os.environ.pop("SLURM_CONF", None)
        shutil.rmtree(place, ignore_errors=True)


def _start(place: Path) -> None:
    for folder in ("state", "spool"):
        (place / folder).mkdir()
    key = place / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    files = {"key-file": key, "pid-file": place / "munged.pid", "log-file": place / "munged.log"}
    files |= {"seed-file": place / "munged.seed", "socket": place / "munge.socket"}
    subprocess.run(["munged", "--force", *(f"--{name}={path}" for name, path in files.items())], check=True)
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(place=place, host=host, port=_free_port(), node_port=_free_port())
    (place / "slurm.conf").write_text(text)
    os.environ["SLURM_CONF"] = str(place / "slurm.conf")
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # jobs find this sereno
    for daemon in ("slurmctld", "slurmd"):
        subprocess.run([daemon, "-f", str(place / "slurm.conf")], check=True, capture_output=True)
    for _ in range(300):
        found = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
        if found.stdout.strip() == "idle":
            return
        time.sleep(0.1)
    pytest.fail(f"SLURM did not come up: {(place / 'slurmctld.log').read_text()[-2000:]}")


def _stop(pid_file: Path) -> None:
    """End a daemon that was started here, by its own process."""
    if pid_file.exists():
        pid = int(pid_file.read_text())
        os.kill(pid, 15)
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                return
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
