"""One writer at a time: who is let in, who is named to the others, and what becomes of the lock of a dead run."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sereno.errors import InputError
from sereno.io.outputs import writer_lock
from sereno.io.outputs.lock_holder import PATIENCE, Holder
from sereno.io.outputs.writer_lock import output_lock

HOLD = """
import sys, time
from sereno.io.outputs.writer_lock import output_lock
with output_lock(sys.argv[1], shared=sys.argv[2] or None):
    print("in", flush=True)
    time.sleep(60)
"""
RUSH = """
import os, sys
from sereno.errors import InputError
from sereno.io.outputs.writer_lock import output_lock

def one(number, start, answers, end):
    name = sys.argv[2].format(number) or None
    os.read(start, 1)  # ends when the parent closes the pipe
    try:
        with output_lock(sys.argv[1], shared=name):
            os.write(answers, b"in\\n")
            os.read(end, 1)
    except InputError as error:
        sys.stderr.write(f"{error}\\n")
        os.write(answers, b"refused\\n")

pipes = [os.pipe() for _ in range(3)]
(start, go), (answered, answers), (end, leave) = pipes
for number in range(int(sys.argv[3])):
    if os.fork() == 0:
        for other in (go, answered, leave):
            os.close(other)
        one(number, start, answers, end)
        os._exit(0)
os.close(answers)
os.close(go)
with os.fdopen(answered) as told:
    print(*sorted(next(told).strip() for _ in range(int(sys.argv[3]))))
os.close(leave)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


def held(output: Path, shared: str = "") -> subprocess.Popen[str]:
    """Return a process that holds the lock of an output."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(output), shared], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def left_by(holder: Holder, output: Path, *, silent: float = 0.0, entry: str = "exclusive") -> Path:
    """Leave the lock of another process, which gave its last sign of life some seconds ago."""
    file = output.with_name(f".{output.name}.lock") / entry / "0123456789abcdef"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(asdict(holder)))
    os.utime(file, (time.time() - silent,) * 2)
    return file


@pytest.mark.parametrize("name", ["o.nc", "o.zarr", "folder", "ö [1] *.nc"])
def test_one_run_at_a_time_and_nothing_left(tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    with output_lock(output), pytest.raises(InputError, match="is at work there"), output_lock(output):
        pass
    with output_lock(output), output_lock(tmp_path / "other.nc"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_message_names_who_is_at_work_in_one_line(tmp_path: Path) -> None:
    process = held(tmp_path / "o.nc")
    try:
        with pytest.raises(InputError) as error, output_lock(tmp_path / "o.nc"):
            pass
    finally:
        killed(process)
    assert re.fullmatch(
        rf"\S+/o\.nc: \S+ is at work there \(host \S+, process {process.pid}, user \S+, since \d{{4}}-\d\d-\d\d "
        r"\d\d:\d\d:\d\d UTC\); wait until it has ended, or choose another output",
        str(error.value),
    )


def test_two_spellings_of_one_output_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "named.nc").symlink_to("real/o.nc")
    monkeypatch.chdir(tmp_path)
    for other in ("link/o.nc", "named.nc", "real/../real/o.nc"):
        with (
            output_lock(tmp_path / "real" / "o.nc"),
            pytest.raises(InputError, match="is at work there"),
            output_lock(other),
        ):
            pass


def test_it_is_let_go_after_an_error_and_after_ctrl_c(tmp_path: Path) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), output_lock(tmp_path / "o.nc"):
            raise error
    assert list(tmp_path.iterdir()) == []


def test_shards_share_it_each_name_once_and_keep_others_out(tmp_path: Path) -> None:
    output = tmp_path / "o.zarr"
    with output_lock(output, shared="shard 1/2"), output_lock(output, shared="shard 2/2"):
        for again in ("shard 1/2", None):
            with pytest.raises(InputError, match="is at work there"), output_lock(output, shared=again):
                pass
    with output_lock(output), pytest.raises(InputError, match="is at work"), output_lock(output, shared="shard 1/2"):
        pass
    with output_lock(output):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("names", "let_in"), [("", 1), ("shard 1/2", 1), ("shard {}/12", 12)])
def test_of_many_at_once_exactly_those_come_in_that_may(tmp_path: Path, names: str, let_in: int) -> None:
    left_by(replace(Holder.this(), process=2**22 + 7), tmp_path / "o.nc")  # and all find the lock of a dead run
    done = subprocess.run(
        [sys.executable, "-c", RUSH, str(tmp_path / "o.nc"), names, "12"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["in"] * let_in + ["refused"] * (12 - let_in), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shared", ["", "shard 1/2"])
def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path, shared: str) -> None:
    killed(held(tmp_path / "o.nc", shared))
    assert list(tmp_path.iterdir()) != []
    with output_lock(tmp_path / "o.nc"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_killed_but_not_yet_buried_counts_as_dead(tmp_path: Path) -> None:
    process = held(tmp_path / "o.nc")
    os.kill(process.pid, signal.SIGKILL)
    while Path(f"/proc/{process.pid}/stat").exists() and " Z " not in Path(f"/proc/{process.pid}/stat").read_text():
        time.sleep(0.01)
    with output_lock(tmp_path / "o.nc"):
        pass
    process.communicate()


def test_another_process_of_the_same_number_is_not_the_run(tmp_path: Path) -> None:
    here = Holder.this()
    if not here.started:
        pytest.skip("this system does not tell when a process started")
    left_by(replace(here, started=str(int(here.started) - 1)), tmp_path / "o.nc")
    with output_lock(tmp_path / "o.nc"):
        pass
    left_by(here, tmp_path / "p.nc", silent=10 * PATIENCE)  # suspended, but there
    with pytest.raises(InputError, match=f"process {os.getpid()}"), output_lock(tmp_path / "p.nc"):
        pass


@pytest.mark.parametrize("holder", [Holder(host="node7", machine="m", process=1, command="sereno fill"), None])
def test_a_run_on_another_host_is_believed_as_long_as_it_gives_signs_of_life(
    tmp_path: Path, holder: Holder | None
) -> None:
    output = tmp_path / "o.nc"
    file = left_by(holder or Holder(), output)
    if holder is None:
        file.write_text("")  # after a power cut
    with pytest.raises(InputError, match=r"host node7, process 1" if holder else "at work"), output_lock(output):
        pass
    os.utime(file, (time.time() - PATIENCE - 60,) * 2)
    with output_lock(output):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_start_of_the_same_job_of_the_cluster_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by(Holder(host="node7", machine="m", process=1, job="4711"), tmp_path / "o.nc")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with pytest.raises(InputError, match="host node7"), output_lock(tmp_path / "o.nc"):
        pass
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with output_lock(tmp_path / "o.nc"):
        pass


def test_a_holder_gives_signs_of_life_and_notices_that_it_was_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_lock, "BEAT", 0.01)
    with output_lock(tmp_path / "o.nc") as lock:
        os.utime(lock.file, (0, 0))
        for _ in range(1000):
            if lock.file.stat().st_mtime > 0:
                break
            time.sleep(0.01)
        lock.require()
        assert lock.file.stat().st_mtime > 0
        lock.file.unlink()
        with pytest.raises(InputError, match="no sign of life for 15 minutes"):
            lock.require()
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_killed_in_the_taking_left_is_cleared_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    for name, process in (("dead", 2**22 + 7), ("alive", os.getpid())):
        file = tmp_path / f".o.nc.lock.{name}.part" / "exclusive" / "abc"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(asdict(replace(Holder.this(), process=process))))
    with output_lock(tmp_path / "o.nc"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".o.nc.lock.alive.part"]


def test_what_a_process_prepared_that_was_killed_before_it_wrote_who_it_is_goes(tmp_path: Path) -> None:
    work = "import os, sys; from pathlib import Path; from sereno.io.outputs import writer_lock\n"
    work += "write = Path.write_text\n"
    work += "Path.write_text = lambda *_, **__: os._exit(9)\n"
    work += "with writer_lock.output_lock(Path(sys.argv[1])): pass"
    subprocess.run([sys.executable, "-c", work, str(tmp_path / "o.nc")], check=False)
    assert list(tmp_path.glob(".o.nc.lock.*.part/exclusive"))
    with output_lock(tmp_path / "o.nc"):
        assert [path.name for path in tmp_path.iterdir()] == [".o.nc.lock"]


def test_the_thread_of_signs_ends_with_the_lock(tmp_path: Path) -> None:
    before = threading.active_count()
    with output_lock(tmp_path / "o.nc"):
        assert threading.active_count() == before + 1
    for _ in range(100):
        if threading.active_count() == before:
            break
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize("output", ["missing/o.nc", "/", "file/o.nc", "x" * 250, "loop/o.nc"])
def test_a_place_that_cannot_be_locked_is_one_clear_line(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError) as error, output_lock(tmp_path / output):
        pass
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]
