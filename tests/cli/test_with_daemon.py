"""The client commands on a whole daemon."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon
from tests.cli.conftest import Ran, Run

pytestmark = pytest.mark.slow

TRACKED = """
import mlflow
mlflow.set_experiment("cli")
with mlflow.start_run():
    mlflow.log_metric("accuracy", 0.9375)
    print("hello from the script")
"""
FAILING = "import sys\nprint('before the end')\nsys.exit(3)\n"
WAITING = "import time\nprint('waiting', flush=True)\ntime.sleep(600)\n"
TRAINING = """
import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression
frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 1.0, 0.0, 0.0]})
mlflow.set_experiment("cli")
with mlflow.start_run():
    model = LogisticRegression().fit(frame, [0, 0, 1, 1])
    mlflow.sklearn.log_model(model, name="model", input_example=frame)
"""


class Shell:
    """The command with a daemon's address, in a folder with scripts."""

    def __init__(self, run: Run, daemon: RunningDaemon, folder: Path) -> None:
        self._run = run
        self.url = daemon.url
        self.folder = folder

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        return self._run(*arguments, stdin=stdin, RUNNERD_URL=self.url, COLUMNS="120")

    def script(self, source: str, name: str = "train.py") -> str:
        (self.folder / name).write_text(source, encoding="utf-8")
        return name


def summary_of(text: str) -> dict[str, str]:
    rows = {}
    for line in text.splitlines():
        if line.startswith("│"):
            name, value = line.strip("│").split("│")
            rows[name.strip()] = value.strip()
    return rows


@pytest.fixture
def shell(run: Run, daemon: RunningDaemon, tmp_path: Path) -> Shell:
    return Shell(run, daemon, tmp_path)


def test_submit_follow_shows_log_and_summary(shell: Shell) -> None:
    ran = shell("submit", shell.script(TRACKED, "cli.py"), "--follow", "--tag", "team=cli")

    assert ran.code == 0, ran.err
    assert "hello from the script" in ran.out.splitlines()
    rows = summary_of(ran.out)
    assert rows["Status"] == "completed"
    assert rows["accuracy"] == "0.9375"
    assert rows["Experiment"] == "cli"
    assert len(rows["Run"]) == 32
    assert rows["Job"] in ran.err


def test_the_exit_code_is_the_script_s_and_json_is_alone_on_stdout(shell: Shell) -> None:
    ran = shell("submit", shell.script(FAILING), "--follow", "--json")

    assert ran.code == 3
    job = json.loads(ran.out)
    assert (job["status"], job["exit_code"]) == ("failed", 3)
    assert "before the end" in ran.err.splitlines()


def test_a_job_is_listed_shown_read_and_cancelled_by_the_first_digits(shell: Shell) -> None:
    submitted = json.loads(shell("submit", shell.script(WAITING), "--json").out)
    job_id = submitted["job_id"]
    short = job_id[:8]

    listed = shell("jobs", "--status", "failed", "--json")
    assert job_id not in listed.out
    assert short in shell("jobs").out
    assert json.loads(shell("job", short, "--json").out)["job_id"] == job_id

    assert shell("cancel", short).code == 0
    followed = shell("logs", "-f", short)
    assert followed.code == 0
    assert followed.out == shell("logs", short).out
    assert json.loads(shell("job", short, "--json").out)["status"] == "cancelled"


def test_an_unknown_job_is_one_sentence(shell: Shell) -> None:
    for arguments in (("job", "0" * 32), ("logs", "-f", "0" * 32), ("job", "0" * 31)):
        ran = shell(*arguments)
        assert ran.code == 1
        assert ran.err.startswith("Error: ")
        assert "Traceback" not in ran.err


def test_a_refused_submission_names_the_requirement(shell: Shell) -> None:
    ran = shell("submit", shell.script("print()"), "-r", "not a requirement!")
    assert ran.code == 1
    assert "Requirement 1 ('not a requirement!')" in ran.err


def test_ctrl_c_leaves_the_job_running(shell: Shell) -> None:
    command = [sys.executable, "-m", "runnerd", "submit", shell.script(WAITING), "--follow"]
    with subprocess.Popen(
        command,
        cwd=shell.folder,
        env={**os.environ, "RUNNERD_URL": shell.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        words = process.stderr.read()
        code = process.wait(timeout=30)

    assert code == 130
    job_id = words.splitlines()[0].split()[1]
    assert f"runnerd logs -f {job_id[:8]}" in words
    assert json.loads(shell("job", job_id, "--json").out)["status"] == "running"
    assert shell("cancel", job_id).code == 0
    shell("logs", "-f", job_id)


def test_a_trained_model_is_listed_and_predicts(shell: Shell) -> None:
    trained = shell(
        "submit", shell.script(TRAINING), "-r", "scikit-learn", "--model", "cli-model", "-f"
    )
    assert trained.code == 0, trained.out + trained.err
    assert "cli-model version 1" in trained.out

    assert "cli-model" in shell("models").out
    assert json.loads(shell("models", "cli-model", "--json").out)["name"] == "cli-model"
    assert "1" in shell("models", "cli-model").out

    rows = {"x": [0.0, 3.0], "y": [1.0, 0.0]}
    answer = shell("predict", "cli-model", "--inputs", "-", "--json", stdin=json.dumps(rows))
    assert json.loads(answer.out)["predictions"] == [0, 1]

    (shell.folder / "rows.json").write_text(json.dumps(rows))
    shown = shell("predict", "cli-model", "--inputs", "@rows.json", "--probabilities")
    assert "Probabilities" in shown.out
    assert "cli-model version 1" in shown.out

    missing = shell("predict", "cli-model", "--inputs", '{"x": [1.0]}')
    assert missing.code == 1
    assert "y" in missing.err


def test_status_and_doctor_see_the_daemon_s_plugins(shell: Shell) -> None:
    status = json.loads(shell("status", "--json").out)
    assert set(status["plugins"]) == {"storage", "tracking", "executor"}
    assert shell.url in shell("status").out

    port = shell.url.rpartition(":")[2]
    place = ("--data-dir", str(shell.folder), "--config", _config(shell, port))
    findings = json.loads(shell("doctor", "--json", *place).out)
    found = {finding["name"]: finding for finding in findings}
    assert found["daemon"]["verdict"] == "ok"
    assert "a daemon has" in found["port"]["detail"]
    assert {"storage plugin", "tracking plugin", "executor plugin"} <= found.keys()


def _config(shell: Shell, port: str) -> str:
    file = shell.folder / "doctor.toml"
    file.write_text(f"[server]\nport = {port}\n[environments]\nindex_url = 'http://127.0.0.1:9'\n")
    return str(file)
