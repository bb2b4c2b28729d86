#!/usr/bin/env python3
"""Which room of src/ may include which, and which one module a foreign library belongs to.

The table is the one of DESIGN section 2. Prints every include that is not in it; exit status 1 if there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "src"

# room -> rooms whose headers it may include, besides its own. "" is src/main.c.
ALLOWED = {
    "base": set(),
    "config": {"base"},
    "keeper": {"base"},
    "net": {"base"},
    "http": {"net", "base"},
    "route": {"net", "base"},
    "telemetry": {"net", "base"},
    "app": {"http", "route", "telemetry", "keeper", "net", "base"},
    "proxy": {"app", "http", "route", "telemetry", "net", "base"},
    "control": {"proxy", "app", "http", "route", "telemetry", "keeper", "net", "config", "base"},
    "": {"control", "proxy", "app", "http", "route", "telemetry", "keeper", "net", "config", "base"},
}

# Single headers that are open to more than their room's neighbours: header -> files (a pattern on the path).
OPEN = {
    "config/snapshot.h": r".*",
    "config/kinds.h": r"app/kind.*",
    "config/config.h": r"app/(kind|dotenv).*",  # problem_add
}

# A foreign header -> the only files that may include it.
FOREIGN = {
    "ev.h": r"base/loop\.h",
    "yaml.h": r"config/yaml.*\.[ch]",
    "http_parser.h": r"http/reader\.c",
    "ares.h": r"net/resolver\.c",
    "libpq-fe.h": r"telemetry/.*",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def complaint(path: str, own: str | None, foreign: str | None) -> str | None:
    """What is wrong with this include, or None."""
    if foreign is not None:
        if foreign in FOREIGN and not re.fullmatch(FOREIGN[foreign], path):
            return f"<{foreign}> belongs to {FOREIGN[foreign]} alone"
        return None
    assert own is not None
    room = path.rpartition("/")[0]
    wanted = own.rpartition("/")[0]
    if not (ROOT / own).is_file():
        return f'"{own}" is not a path from src/'
    if wanted == room or wanted in ALLOWED.get(room, set()):
        return None
    if own in OPEN and re.fullmatch(OPEN[own], path):
        return None
    return f'{room or "main"} may not include "{own}"'


def main() -> int:
    wrong = 0
    for file in sorted(ROOT.rglob("*.[ch]")):
        path = file.relative_to(ROOT).as_posix()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            said = complaint(path, match[1], match[2]) if match else None
            if said:
                print(f"src/{path}:{number}: {said}")
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
