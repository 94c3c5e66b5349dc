"""How long each chapter took in the present build, as a table for a page."""

import json
from pathlib import Path


def times_table(run: Path, chapters: dict, titles: dict[str, str]) -> str:
    """Seconds of each chapter, the slowest first, with the load of the machine, and their sum, as Markdown."""
    records = {name: json.loads((run / f"notebooks/{name}.run.json").read_text(encoding="utf-8")) for name in chapters}
    rows = [f"| {{doc}}`{titles[name]} </chapters/{name}>` | {record['seconds']:.0f} | {record['load']:.1f} |"
            for name, record in sorted(records.items(), key=lambda entry: -entry[1]["seconds"])]
    total = sum(record["seconds"] for record in records.values())
    head = ["| chapter | seconds | load of the machine |", "| - | -: | -: |"]
    return "\n".join([*head, *rows, f"| together | {total:.0f} | |"])
