"""What is printed for people is text and steers no terminal, whatever somebody called their run."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from modelwright.cli import output
from modelwright.core.errors import NotFound

EVIL = "\x1b[2Jgone\x1b]52;c;aGk=\x07\x9b31m\r\u202eneddih\x00"
SPELLED = r"\x1b[2Jgone\x1b]52;c;aGk=\x07\x9b31m\x0d\u202eneddih\x00"
WAYS: dict[str, Callable[[], None]] = {
    "table": lambda: output.table(["name"], [[EVIL]]),
    "head of a table": lambda: output.table([EVIL], [["x"]]),
    "title of a table": lambda: output.table(["name"], [["x"]], title=EVIL),
    "facts": lambda: output.facts("run", {"name": EVIL}),
    "title of facts": lambda: output.facts(EVIL, {}),
    "line": lambda: output.say(EVIL),
    "coloured line": lambda: output.say(EVIL, style="red"),
    "paragraph": lambda: output.paragraph(EVIL),
    "remark": lambda: output.aside(EVIL),
    "tree": lambda: output.show(output.tree(EVIL)),
    "error": lambda: output.show_error(NotFound(EVIL, mend=EVIL), as_json=False),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_would_steer_a_terminal_is_spelled_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    WAYS[way]()
    told = "".join(capsys.readouterr()).replace("\n", "")  # a title is broken
    assert SPELLED in told
    assert not set(told) & set("\x1b\x07\x9b\r\u202e\x00")


def test_lines_tabs_and_every_script_stay(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("größe\tмодель\r\n模型 👩‍🔬 שלום")
    assert capsys.readouterr().out == "größe\tмодель\n模型 👩‍🔬 שלום\n"


def test_a_long_table_is_written_line_by_line_and_looks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[f"模型/{at:05}.txt", at % 7, EVIL if at == 3 else "a\nb" if at == 4 else "x"] for at in range(50_000)]
    started = time.process_time()
    output.table(["file", "size", "note"], rows, right=["size"], title="files")
    assert time.process_time() - started < 10  # 0.5 s where Rich took 20
    long = capsys.readouterr().out.splitlines()
    assert (len(long), long[0], long[7]) == (50_003, "files", "模型/00004.txt     4  a b")
    assert SPELLED in long[6] and not set(long[6]) & set("\x1b\x07\x9b\r\u202e\x00")
