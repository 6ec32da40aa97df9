"""Draws what a terminal shows: a run as it ends and what the model then writes, and a live view.

    python docs/draw_session.py [--budget 60s]

It writes docs/pictures/session.svg and docs/pictures/live.svg. The commands are those that the
pictures show, run in a terminal of their own, whose screen is then drawn. It needs the packages
that the tests need.
"""

import argparse
import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyte
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"
COLUMNS, LINES = 96, 200
LIVE = re.compile(r" [67]\d %  ")
"""What stands in the bar of a run when its live view is drawn."""
ROW = re.compile(r" +\d+\.\d +[\d,]+ +[\d,]+ ")
"""How the line of an evaluation begins: with the epoch, the step and the speed."""
MOST_EVALUATIONS = 8
"""Evaluations that are shown, the first and the last; the others are left out of the picture."""
THEME = TerminalTheme(
    (250, 250, 247),
    (40, 40, 40),
    [
        (40, 40, 40),
        (176, 42, 48),
        (0, 112, 60),
        (140, 94, 0),
        (0, 92, 160),
        (130, 60, 130),
        (0, 110, 120),
        (110, 110, 110),
    ],
)
"""Dark letters on a light ground, at a contrast of at least 4.5 to 1."""
# Rich's own format has the picture load a font, which pages that show it do not allow.
FORMAT = """<svg xmlns="http://www.w3.org/2000/svg"
 viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{
  font: {char_height}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  white-space: pre;
}}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#fafaf7"/>
<g transform="translate(9, 24)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g>
</g></svg>
"""


def main() -> None:
    """Run the commands and draw their screen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", default="60s")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(ROOT / "corpora" / "fables.txt", folder)
        lines: list[Text] = []
        live: list[Text] = []
        for command in (
            f"chargen train fables.txt --budget {chosen.budget}",
            'chargen sample "The heron" --length 320 --temperature 0.5 --random-seed 3',
            "echo 'The heron thanked the tinker for his patience.' | chargen evaluate",
        ):
            typed = Text(f"$ {command}", style="bold")
            shown, seen = run(command, folder)
            lines += [typed, *shown, Text()]
            live += [typed, *seen] if seen else []
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / "session.svg").write_text(picture(lines), encoding="utf-8")
        (PICTURES / "live.svg").write_text(picture(live), encoding="utf-8")


def run(command: str, folder: Path) -> tuple[list[Text], list[Text]]:
    """Run a command on a terminal; return the lines of its screen at the end, and of a live view.

    There are none of a live view where none was shown.
    """
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    environment = os.environ | {
        "COLUMNS": str(COLUMNS),
        "LINES": str(LINES),
        "TERM": "xterm-256color",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = f"stty cols {COLUMNS} rows {LINES}; {command}"
    with subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        live: list[Text] = []
        for data in read(ours):
            stream.feed(data)
            if not live and is_live_view(screen):
                live = abridged([styled(screen.buffer[row]) for row in range(screen.cursor.y + 1)])
    if process.returncode:
        sys.exit("\n".join(screen.display).rstrip())
    # Below the cursor there is nothing but what the live view has left.
    return abridged([styled(screen.buffer[row]) for row in range(screen.cursor.y)]), live


def is_live_view(screen: pyte.Screen) -> bool:
    """Return whether a run of the wanted age is shown, down to the last line of its view."""
    newest = screen.display[max(0, screen.cursor.y - 1) : screen.cursor.y + 1]
    has_last_line = any(line.startswith("now ") for line in newest)
    return has_last_line and any(map(LIVE.search, screen.display))


def read(terminal: int) -> Iterator[bytes]:
    """Yield what is written to a terminal until everybody has closed it."""
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # how Linux reports the end
            return
        if not data:
            return
        yield data


def styled(cells: "pyte.screens.StaticDefaultDict[int, pyte.screens.Char]") -> Text:
    """Return a line of a screen with its colours."""
    line = Text()
    for column in range(COLUMNS):
        cell = cells[column]
        colour = "" if cell.fg == "default" else cell.fg.replace("brown", "yellow")
        colour = f"#{colour}" if re.fullmatch(r"[0-9a-f]{6}", colour) else colour
        style = " ".join(["bold"] * cell.bold + ["italic"] * cell.italics + [colour])
        # Another font may have the dots, and an empty cell of them another width there.
        line.append(cell.data.replace("\N{BRAILLE PATTERN BLANK}", " "), style.strip())
    line.rstrip()
    return line


def abridged(lines: list[Text]) -> list[Text]:
    """Leave out evaluations in the middle."""
    places = [k for k, line in enumerate(lines) if ROW.match(line.plain)]
    middle = places[MOST_EVALUATIONS // 2 : -MOST_EVALUATIONS // 2]
    if not middle:
        return lines
    return [*lines[: middle[0]], Text("   ..."), *lines[middle[-1] + 1 :]]


def picture(lines: list[Text]) -> str:
    """Draw lines as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    svg = console.export_svg(theme=THEME, code_format=FORMAT, unique_id="session")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
