import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sereno.cli import app
from sereno.config import parse_config, read_config
from sereno.errors import InputError
from sereno.slurm import step
from sereno.slurm.script import Place, Script, scripts
from sereno.slurm.settings import SlurmConfig, parse_slurm
from sereno.workflow import submit

EXAMPLES = Path(__file__).parents[2] / "examples"
PLACE = Place(Path("/sea/run.toml"), Path("/sea"), Path("/sea/run.slurm"))
GOLDEN = """\
#!/bin/bash
#SBATCH --job-name=sereno-1-fit
#SBATCH --partition=gpus
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --gres=gpu:2
#SBATCH --time=1:00:00
#SBATCH --chdir=/sea
#SBATCH --output=/sea/run.slurm/1-fit-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --qos=long

set -euo pipefail
module load cuda python/3.11
source /sea/venv/bin/activate
export PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

status=0
srun --unbuffered --kill-on-bad-exit=0 sereno fit 'a cube.zarr' -o model --config /sea/run.toml --resume || status=$?
# 75: the time limit is near and a checkpoint is written; the job is queued again and continues from there.
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


def parse(overrides: dict[str, object] | None = None, **table: object) -> SlurmConfig:
    return parse_slurm({"slurm": table}, origin="run.toml", overrides=overrides or {})


def test_the_script_of_a_training() -> None:
    config = parse(
        jobs=[{"run": "fit 'a cube.zarr' -o model"}],
        partition="gpus",
        gpus=2,
        nodes=2,
        time="1:00:00",
        modules=["cuda", "python/3.11"],
        venv="/sea/venv",
        options=["--qos=long"],
    )
    assert scripts(config, PLACE, trains=True) == [("1-fit", GOLDEN)]


def test_a_shared_fill_is_an_array_and_a_job_that_merges() -> None:
    config = parse(jobs=[{"run": "fill cube.zarr -o out.nc", "shards": 8}])
    (array, text), (merge, last) = scripts(config, PLACE, trains=False)
    assert (array, merge) == ("1-fill", "1-fill-merge")
    assert "#SBATCH --array=1-8\n" in text
    assert text.endswith('\nsereno fill cube.zarr -o out.nc --shard "$SLURM_ARRAY_TASK_ID/8"\n')
    assert last.endswith("\nsereno fill cube.zarr -o out.nc --merge\n")


def test_what_is_tuned_needs_one_task_and_makes_no_way() -> None:
    config = parse(jobs=[{"run": "fit cube.zarr -o model"}], tasks=4)
    ((_, text),) = scripts(config, PLACE, trains=False)
    assert "--ntasks=1\n" in text
    assert "srun " not in text


def test_the_example_has_the_directives_of_the_reference() -> None:
    values = read_config(EXAMPLES / "slurm-reference.toml")
    made = scripts(parse_slurm(values, origin="example", overrides={}), PLACE, trains=True)
    assert [name for name, _ in made] == ["1-prepare", "2-fit", "3-evaluate"]
    for directive in ("--nodes=1", "--ntasks=1", "--partition=gpus", "--gres=gpu:4"):
        assert f"#SBATCH {directive}\n" in made[1].text
    assert "conda activate sereno\n" in made[1].text
    assert "PYTHONUNBUFFERED=1\n" in made[1].text
    reference = parse_config(read_config(EXAMPLES / "reference.toml"))
    assert parse_config(values) == reference


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"partion": "gpus"}, r"slurm\.partion: unknown key; did you mean 'partition'\?"),
        ({"jobs": [{"run": "fit a -o b", "gpu": 1}]}, r"slurm\.jobs\.0\.gpu: unknown key; did you mean 'gpus'\?"),
        ({"jobs": []}, r"slurm\.jobs: .*at least 1"),
        ({"jobs": [{"run": "demo"}]}, r"run must begin with one of prepare"),
        ({"jobs": [{"run": "fit 'a"}]}, r"run cannot be read as a command line"),
        ({"jobs": [{"run": "evaluate a -o b", "shards": 2}]}, "only fill is shared out"),
        ({"gpus": -1}, r"slurm\.gpus: .*\(got -1\)"),
        ({"time": "soon"}, "time 'soon': write it as"),
        ({"memory": "lots"}, "memory 'lots': write it as megabytes or with a unit"),
        ({"conda": "a", "venv": "b"}, "activate one of them"),
        ({"options": ["qos"]}, "write it as --name=value"),
        ({"gpus": 1, "tasks": 2}, "2 tasks cannot share 1 graphics cards"),
    ],
)
def test_faults_name_key_path_and_what_was_meant(table: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(**({"jobs": [{"run": "fit a -o b"}]} | table))


def test_a_run_without_the_table_is_told_what_it_lacks() -> None:
    with pytest.raises(InputError, match=r"a table \[slurm\] with at least one of \[\[slurm.jobs\]\]"):
        parse_slurm({}, origin="run.toml", overrides={})


def test_options_override_the_table_and_its_jobs() -> None:
    config = parse({"gpus": 2, "time": None}, jobs=[{"run": "fit a -o b", "gpus": 4, "time": "5"}], gpus=1)
    assert config.of(config.jobs[0]).gpus == 2
    assert config.of(config.jobs[0]).time == "5"


def test_a_dry_run_prints_the_scripts_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[slurm]\n[[slurm.jobs]]\nrun = "evaluate cube.zarr -m oi -o scores"\n')
    done = CliRunner().invoke(app, ["submit", str(path), "--dry-run", "--partition", "short"])
    assert done.exit_code == 0
    assert "#SBATCH --partition=short\n" in done.output
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ('run = "fill cube.zarr -m model --outptu x"', "run.toml: slurm.jobs 1: fill: No such option: --outptu"),
        ('run = "sereno fill cube.zarr -m model"', "run.toml: slurm.jobs 1: fill: Missing option '-o' / '--output'."),
        (
            'run = "fit cube.zarr -m linear -o model"',
            "run.toml: fit has its method and settings from a table [model]",
        ),
        ('run = "fill a -m b -o c.zarr --update"\nshards = 2', "--update does not go together with shards = 2"),
    ],
)
def test_a_command_line_that_would_fail_on_the_cluster_is_refused_before(
    tmp_path: Path, job: str, message: str
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f"[slurm]\n[[slurm.jobs]]\n{job}\n")
    done = CliRunner().invoke(app, ["submit", str(path), "--dry-run"])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_where_slurm_is_not_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no sbatch here"):
        submit.submit([Script("1-fit", "#!/bin/bash\n")], tmp_path / "run.slurm")


STATES = {
    False: "COMPLETING CONFIGURING PENDING REQUEUED REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD RUNNING "
    "SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED SUSPENDED",
    True: "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT",
}
"""The job state codes of squeue's manual: whether a job in them has ended."""


@pytest.mark.parametrize(("ended", "state"), [(ended, state) for ended in STATES for state in STATES[ended].split()])
def test_what_was_submitted_is_not_submitted_again_before_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool, state: str
) -> None:
    said = {"squeue": state, "sbatch": "8"}
    monkeypatch.setattr(submit, "_run", lambda command: f"{said[command[0]]}\n")
    submit.submit([Script("1-fit", "#!/bin/bash\n")], tmp_path)
    assert submit.states(tmp_path) == [("1-fit", "8", state)]
    if ended:
        submit.submit([Script("1-fit", "#!/bin/bash\n")], tmp_path)
    else:
        with pytest.raises(InputError, match="its jobs have not ended; wait, or run scancel 8"):
            submit.submit([Script("1-fit", "#!/bin/bash\n")], tmp_path)


def test_a_job_that_the_queue_forgot_is_asked_of_the_accounting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / submit.JOBS).write_text('{"1-fill": "7"}')
    said = {"squeue": "", "sacct": "COMPLETED\nCANCELLED by 1000\n"}
    monkeypatch.setattr(submit, "_run", lambda command: said[command[0]])
    assert submit.states(tmp_path) == [("1-fill", "7", "CANCELLED")]
    said["sacct"] = ""
    assert submit.states(tmp_path) == [("1-fill", "7", "unknown")]


def test_notice_is_heeded_meanwhile_and_where_there_is_such_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    before = signal.getsignal(signal.SIGUSR1)
    with step.heeding_notice(lambda number, _: heard.append(number)):
        signal.raise_signal(signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR1) == before
    monkeypatch.delattr(signal, "SIGUSR1")  # as on Windows
    with step.heeding_notice(lambda number, _: heard.append(number)):
        pass
    assert len(heard) == 1
