"""The table: fault, count, lost, duplicated, wrong, time to recover."""

from dataclasses import asdict, dataclass, fields

from benchmarks.report import RESULTS, heading


@dataclass(frozen=True)
class Row:
    """One line. Empty cells are facts of the whole run, told in its first line."""

    run: str
    fault: str
    count: int | str
    images: int | str = ""
    lost: int | str = ""
    duplicated: int | str = ""
    wrong: int | str = ""
    dead: int | str = ""
    """Processes that ended for another cause."""
    extra_runs: int | str = ""
    recovered_s: str = ""


def table(rows: list[Row]) -> str:
    """Plain text, in columns."""
    lines = [[field.name.replace("_", " ") for field in fields(Row)]]
    lines += [[str(value) for value in asdict(row).values()] for row in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    left = 2  # the names; figures stand to the right
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n < left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def save(name: str, rows: list[Row], *, settings: dict[str, object], command: str) -> str:
    """Write the table with its heading to benchmarks/results; returns it."""
    lines = heading("Faults on purpose", settings).splitlines()
    lines = [f"command   {command}" if line.startswith("command") else line for line in lines]
    text = "\n".join(lines) + "\n\n" + table(rows) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.txt").write_text(text)
    return text
