"""Commands as real processes: exit codes, streams, and how quickly help answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.cli.entry import run as run_command

MW = [sys.executable, "-m", "modelwright.cli"]


def mw(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MW, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]


def test_help_answers_without_importing_typer() -> None:
    answer = mw("--help")
    assert answer.returncode == 0 and "mw COMMAND" in answer.stdout
    loaded = "import modelwright.cli.entry as e, sys; e.overview(); print({'typer', 'rich'} & {*sys.modules})"
    assert python(loaded) == "set()"


def test_version_and_an_unknown_command() -> None:
    assert mw("--version").stdout.startswith("modelwright ")
    wrong = mw("promot")
    assert wrong.returncode == 2 and "Did you mean promote" in wrong.stderr and wrong.stdout == ""


def test_a_disk_that_is_full_is_told(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [*MW, "list", "run", "-w", project], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert told.returncode == 8 and "The disk is full" in told.stderr and "Traceback" not in told.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["audit", "export", "{file}/out.zip"],
        ["backup", "{file}/deep"],
        ["list", "run", "-w", "{file}/x"],
        ["init", "{file}/x"],
    ],
)
def test_a_path_that_leads_through_a_file_is_told(project: Path, tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    asked = [each.format(file=file) for each in command]
    told = subprocess.run([*MW, *asked], cwd=project, capture_output=True, text=True, timeout=120)
    assert told.returncode in (2, 3) and str(file) in told.stderr and "Traceback" not in told.stderr
    assert file.read_text() == "mine"


def test_ctrl_c_is_told_while_a_command_is_still_being_imported() -> None:
    begun = (
        "import sys\nclass Ctrl:\n    def find_spec(self, name, *_):\n        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Ctrl()); sys.argv = ['mw', 'list']; from modelwright.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", begun], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_the_story_says_what_it_lacks_before_it_begins(tmp_path: Path) -> None:
    lacking = "import sys; sys.modules['skops'] = None; from modelwright.cli import main; sys.argv = ['mw', 'demo']; main()"
    done = subprocess.run([sys.executable, "-c", lacking], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode != 0 and "there is no skops here" in done.stderr and "modelwright[sklearn]" in done.stderr
    assert not [*tmp_path.iterdir()]


def test_errors_are_told_on_the_error_stream_with_their_exit_code(project: Path) -> None:
    missing = mw("show", "model:nothing", "-w", project)
    assert missing.returncode == 3 and missing.stdout == "" and "mw list model" in missing.stderr
    as_json = mw("show", "model:nothing", "-w", project, "--json")
    assert as_json.returncode == 3 and json.loads(as_json.stderr)["error"]["code"] == "not-found"
    at = ["-w", str(project)]  # what the process ends with is what `run` says
    assert run_command(["show", "late", *at]) == 2
    assert run_command(["gate", "model:late@1", *at]) == 10
    assert run_command(["audit", "export", str(project / "README.md"), *at]) == 4
    unreachable = mw("list", "model", "-w", "http://127.0.0.1:1")
    assert unreachable.returncode == 8 and "mw up" in unreachable.stderr


def test_usage_errors_are_json_too_where_json_is_asked_for(project: Path) -> None:
    wrong = mw("list", "--json", "-w", project)
    assert wrong.returncode == 2 and json.loads(wrong.stderr)["error"]["code"] == "usage"
    plain = mw("policy", "shw")
    assert plain.returncode == 2 and "mw policy --help" in plain.stderr


def test_progress_and_colour_stay_out_of_a_pipe(project: Path) -> None:
    answer = mw("audit", "verify", "-w", project)
    assert answer.returncode == 0 and answer.stderr == "" and "\x1b" not in answer.stdout


def test_it_works_from_within_the_project_and_a_closed_pipe_is_no_error(project: Path) -> None:
    inside = mw("list", "model", "--json", cwd=project / "data")
    assert [each["ref"] for each in json.loads(inside.stdout)["items"]] == ["model:late@1"]
    done = subprocess.run(
        f"{' '.join(MW)} list model -w {project} | true", shell=True, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr


def test_bash_completes_commands_subcommands_options_and_kinds(tmp_path: Path) -> None:
    script = tmp_path / "mw.bash"
    script.write_text(mw("completion", "bash").stdout, encoding="utf-8")

    def complete(*words: str) -> set[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        line = f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _mw; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    assert complete("mw", "p") == {"promote", "policy", "privacy"}
    assert complete("mw", "rollout", "p") == {"promote", "pause"}
    assert "--reason" in complete("mw", "rollout", "promote", "--")
    assert "model" in complete("mw", "list", "mo") and "monitor" in complete("mw", "list", "mo")
    assert "_describe" in mw("completion", "zsh").stdout and "complete -c mw" in mw("completion", "fish").stdout
    assert mw("completion", "tcsh").returncode == 2


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout.strip()
