"""`mw completion`: scripts for bash, zsh and fish, written from the commands themselves.

A script holds every command, subcommand, option and kind, so that pressing Tab starts no process and waits for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from modelwright.cli.options import AsJson
from modelwright.cli.output import print_json
from modelwright.cli.registry import command, names
from modelwright.core.errors import Invalid

if TYPE_CHECKING:
    import click

PROGRAMS = ("mw", "modelwright")


class Words(NamedTuple):
    """What may come after a command: `path` is the command (`rollout`, `rollout promote`), with a line on what it does."""

    path: str
    summary: str
    subcommands: list[str]
    options: list[str]
    arguments: list[str]  # values that its first argument may have


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("completion")(completion)


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")],
    as_json: AsJson = False,
) -> None:
    """Print the completion script of a shell.

    bash: eval "$(mw completion bash)" in ~/.bashrc;
    zsh: the same with zsh, in ~/.zshrc after compinit;
    fish: mw completion fish > ~/.config/fish/completions/mw.fish
    """
    writers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell not in writers:
        raise Invalid(f"There is no completion for {shell!r}.", mend=f"There is one for {', '.join(writers)}.")
    words = all_words()
    if as_json:
        print_json({each.path: each._asdict() for each in words})
    else:
        typer.echo(writers[shell](words))


def all_words() -> list[Words]:
    """The words after every command and subcommand."""
    from modelwright.cli.app import complete

    found: list[Words] = []
    root = typer.main.get_command(complete())
    for name, each in sorted(getattr(root, "commands", {}).items()):
        _collect(each, name, found)
    return found


def _collect(each: click.Command, path: str, found: list[Words]) -> None:
    from modelwright.cli.kinds import FACES

    below = getattr(each, "commands", {})
    options = [text for p in each.params for text in p.opts if text.startswith("--") and not getattr(p, "hidden", False)]
    first = {"list": [kind.value for kind in FACES], "completion": ["bash", "zsh", "fish"]}.get(path, [])
    summary = _summary(path) or (each.help or "").partition("\n")[0]
    found.append(Words(path, summary, sorted(below), sorted({*options, "--help"}), first))
    for name, subcommand in below.items():
        _collect(subcommand, f"{path} {name}", found)


def _cases(words: list[Words]) -> str:
    rows = []
    for each in words:
        offered = " ".join([*each.subcommands, *each.arguments, *each.options])
        rows.append(f'        "{each.path}") words="{offered}" ;;')
    return "\n".join(rows)


def _groups(words: list[Words]) -> str:
    return "|".join(each.path for each in words if each.subcommands)


def _bash(words: list[Words]) -> str:
    return f"""# bash completion of mw
_mw() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" path="${{COMP_WORDS[1]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{" ".join(names())}" -- "$current"))
        return
    fi
    case "$path" in
        {_groups(words)}) if [ "$COMP_CWORD" -gt 2 ]; then path="$path ${{COMP_WORDS[2]}}"; fi ;;
    esac
    case "$path" in
{_cases(words)}
        *) words="" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _mw {" ".join(PROGRAMS)}"""


def _zsh(words: list[Words]) -> str:
    commands = "\n".join(f"        {_quoted(f'{name}:{_summary(name)}')}" for name in names())
    return f"""#compdef {" ".join(PROGRAMS)}
_mw() {{
    local path="${{words[2]}}" offered="" words_=("${{words[@]}}")
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe 'command' commands
        return
    fi
    case "$path" in
        {_groups(words)}) if (( CURRENT > 3 )); then path="$path ${{words_[3]}}"; fi ;;
    esac
    case "$path" in
{_cases(words).replace("words=", "offered=")}
    esac
    compadd -- ${{=offered}}
    _files
}}
compdef _mw {" ".join(PROGRAMS)}"""


def _fish(words: list[Words]) -> str:
    lines = ["# fish completion of mw"]
    for program in PROGRAMS:
        for name in names():
            row = command(name)
            lines.append(
                f"complete -c {program} -f -n __fish_use_subcommand -a {name} -d {_quoted(row.summary if row else '')}"
            )
        for each in words:
            head, _, tail = each.path.partition(" ")
            seen = f"__fish_seen_subcommand_from {head}" + (f"; and __fish_seen_subcommand_from {tail}" if tail else "")
            for offered in [*each.subcommands, *each.arguments]:
                lines.append(f"complete -c {program} -n {_quoted(seen)} -a {offered}")
            for option in each.options:
                lines.append(f"complete -c {program} -n {_quoted(seen)} -l {option.removeprefix('--')}")
    return "\n".join(lines)


def _summary(name: str) -> str:
    row = command(name)
    return row.summary if row else ""


def _quoted(text: str) -> str:
    """Text as one word of a shell."""
    import shlex

    return shlex.quote(text)
