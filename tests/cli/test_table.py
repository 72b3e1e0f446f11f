"""The table of commands against the commands and the operations they carry out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from modelwright.cli.app import application
from modelwright.cli.completion import Words, all_words
from modelwright.cli.entry import overview
from modelwright.cli.explain import find, operation_of
from modelwright.cli.registry import LOCAL, SECTIONS, Command, check_commands, command, names

ROOT = Path(__file__).parents[2]
MENTION = re.compile(
    r"(?:[`'\"&(:>]|^ {4,}|, then|Restore:) ?\$? ?mw ((?:[a-z]+(?:-[a-z]+)*)(?: [^`'\"\n#.;)&]*)?)", re.MULTILINE
)
ROWS = [(name, row) for rows in SECTIONS.values() for name, row in rows.items()]


def commands_of(name: str) -> dict[str, object]:
    """The functions behind a command, or behind the subcommands of a group."""
    found: dict[str, object] = {}
    app = application([name])
    for each in app.registered_commands:
        if each.name == name:
            found[name] = each.callback
    for group in app.registered_groups:
        if group.name == name and group.typer_instance:
            found |= {f"{name} {each.name}": each.callback for each in group.typer_instance.registered_commands}
    return found


@pytest.mark.parametrize(("name", "row"), ROWS, ids=names())
def test_every_row_has_its_command(name: str, row: Command) -> None:
    assert commands_of(name), f"modelwright.cli.{row.module} does not register {name}"


@pytest.mark.parametrize(("name", "row"), ROWS, ids=names())
def test_every_command_explains_itself_and_can_answer_programs(name: str, row: Command) -> None:
    app = typer.main.get_command(application([name], explained=True))
    found = app.commands[name]  # type: ignore[attr-defined]
    for each in getattr(found, "commands", {name: found}).values():
        assert each.help, f"{each.name} has no help"
        options = {text for parameter in each.params for text in parameter.opts}
        assert name in ("up", "demo") or "--json" in options


@pytest.mark.parametrize(("name", "row"), [(n, r) for n, r in ROWS if r.operation], ids=lambda v: str(v)[:20])
def test_a_command_that_is_one_operation_says_what_the_operation_says(name: str, row: Command) -> None:
    """Its summary is the operation's first sentence or a beginning of it, and its permission the operation's."""
    operation = find(row.operation)
    said = row.summary.rstrip(".")
    plain = operation.summary.replace("`", "")
    if name == "who-can":  # the operation's sentence names its parameter
        plain, said = plain.replace("do verb on a", "do something on a"), said
    assert plain.startswith(said)
    assert not plain[len(said) : len(said) + 1].isalnum(), "a beginning ends where a word ends"
    assert row.needs == operation.verb
    (function,) = commands_of(name).values()
    assert operation_of(function) == row.operation  # type: ignore[arg-type]


def test_every_subcommand_that_names_an_operation_names_one_that_exists() -> None:
    for name in names():
        for function in commands_of(name).values():
            if operation := operation_of(function):  # type: ignore[arg-type]
                assert find(operation).__doc__


def mentioned() -> list[tuple[str, str]]:
    """Every command that a message, a docstring, a policy, a page or a document tells somebody to use, and where."""
    found = []
    for folder, patterns in (
        ("src", ("*.py", "*.toml", "*.html", "*.template")),
        ("docs", ("*.md",)),
        (".", ("README.md",)),
    ):
        for pattern in patterns:
            for path in (ROOT / folder).rglob(pattern) if folder != "." else [ROOT / pattern]:
                text = path.read_text(encoding="utf-8")
                found += [(match[1].strip(), str(path.relative_to(ROOT))) for match in MENTION.finditer(text)]
    return sorted(set(found))


def test_what_messages_and_documents_tell_to_use_exists() -> None:
    words = {each.path: each for each in all_words()}
    found = mentioned()
    assert len(found) > 100
    assert not [f"{place} mentions mw {text}" for text, place in found if not _exists(text, words)]


def _exists(text: str, words: dict[str, Words]) -> bool:
    """Whether there is such a command, with these options."""
    name, *rest = text.split()
    if name not in words:
        return False
    at = words[name]
    if at.subcommands and rest and rest[0][0].isalpha():
        ways = [f"{name} {alternative}" for alternative in rest[0].split("|")]
        if not all(way in words for way in ways):
            return False
        at = words[ways[0]]
    return all(option in at.options for option in re.findall(r"--[a-z-]+", " ".join(rest)))


def test_a_command_without_a_permission_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    check_commands()
    monkeypatch.setitem(SECTIONS, "Else", {"sneak": Command("look", "", "Look around.")})
    with pytest.raises(RuntimeError, match="mw sneak has no registered permission"):
        check_commands()


def test_the_overview_names_every_command_in_eighty_columns() -> None:
    text = overview()
    for name, row in ROWS:
        assert re.search(rf"^  {re.escape(name)} +{re.escape(row.summary)}$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


def test_local_commands_are_those_that_ask_no_server_for_anything_of_the_record() -> None:
    local = {name for name, row in ROWS if row.needs == LOCAL}
    assert local == {"init", "demo", "up", "login", "logout", "doctor", "backup", "restore", "completion", "warm"}
    assert command("nothing") is None
