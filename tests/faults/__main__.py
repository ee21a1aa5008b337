"""Runs the matrix: `python -m tests.faults --report`."""

from tests.faults.report import main

if __name__ == "__main__":
    main()
