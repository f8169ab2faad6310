"""What `captioner caption` was asked for, checked."""

from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True, slots=True)
class Options:
    """The command's options, by their names."""

    paths: tuple[str, ...]
    server: str
    model: str | None
    prompt: str | None
    length: str | None
    language: str | None
    tags: bool
    sidecars: bool
    as_csv: bool
    as_json: bool
    output: Path | None
    skip: bool
    batch: int
    jobs: int
    timeout_s: float

    @property
    def overwrite(self) -> bool:
        """Whether earlier captions are replaced."""
        return not self.skip

    @property
    def form(self) -> dict[str, str]:
        """The fields that go with every request."""
        fields = {
            "model": self.model,
            "prompt": self.prompt,
            "length": self.length,
            "language": self.language,
            "tags": "true" if self.tags else None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def check(self) -> None:
        """Raise click.UsageError for options that contradict each other."""
        if self.sidecars + self.as_csv + self.as_json > 1:
            raise click.UsageError("Choose one of --sidecars, --csv and --json.")
        if self.tags and not self.as_json:
            raise click.UsageError("--tags needs --json: nothing else has a place for them.")
        if self.output and not (self.as_csv or self.as_json):
            raise click.UsageError("--output needs --csv or --json, to say what to write.")
        if self.output and not self.output.absolute().parent.is_dir():
            raise click.UsageError(f"The folder of --output {self.output} does not exist.")
        if self.paths.count("-") > 1:
            raise click.UsageError("stdin (-) can be read only once.")
