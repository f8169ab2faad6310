"""`python -m tests.faults.worker WITNESS_FILE`: `captioner worker` that also has the witness."""

import sys
from pathlib import Path


def main() -> None:
    from cli.worker import worker
    from tests.faults import witness

    witness.register(Path(sys.argv[1]))
    worker(args=["--end-with-parent"], prog_name="worker")


if __name__ == "__main__":
    main()
