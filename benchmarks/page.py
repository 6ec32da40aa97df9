"""Put the tables of the results on file into the pages.

    python benchmarks/page.py          # after a benchmark was run
    python benchmarks/page.py --print  # shows them, and changes nothing

In README.md and STUDY.md a line `<!-- table: FOLDER/NAME -->` stands for results/FOLDER/NAME.json.
What is between it and the next `<!-- end -->` is written anew, with the machine and the command.
"""

import argparse
import json
import re
import time
from pathlib import Path

from harness import RESULTS, table

PAGES = [Path(__file__).parent / name for name in ("README.md", "STUDY.md")]
PLACE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite both pages, or print the tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--print", action="store_true", help="only print the tables")
    if options.parse_args().print:
        for file in sorted(RESULTS.glob("*/*.json")):
            name = f"{file.parent.name}/{file.stem}"
            print(f"\n{name}\n\n{block(name)}")
        return
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        after = PLACE.sub(lambda place: place[1] + block(place[2]) + place[3], text)
        page.write_text(after, encoding="utf-8")
        print(f"{page.name}: {'rewritten' if after != text else 'as it was'}")


def block(name: str) -> str:
    """A table as it stands on a page, what it was measured on and by what command below it."""
    content = json.loads((RESULTS / f"{name}.json").read_text())
    rows = [
        {key: value for key, value in row.items() if not isinstance(value, list)}
        for row in content["rows"]
    ]
    commands = ", ".join(f"`{command}`" for command in content["command"].split("; "))
    return f"{table(rows)}\n\n<sub>{on(content['machine'])}: {commands}</sub>\n"


def on(machine: dict[str, object]) -> str:
    """A machine, and the day, in a line."""
    day = time.strptime(str(machine["date"]), "%Y-%m-%d")
    date = f"{day.tm_mday} {time.strftime('%B %Y', day)}"
    return f"{short_name(machine)}, {date}"


def short_name(machine: dict[str, object]) -> str:
    """A machine by its processor, and the features that decide on its speed."""
    cpu = re.sub(r"\(.*?\)|Processor", "", str(machine["cpu"])).strip()
    features = ", ".join(map(str, machine["features"]))  # type: ignore[call-overload]
    return f"{machine['cores']} cores of an {cpu} ({features})"


if __name__ == "__main__":
    main()
