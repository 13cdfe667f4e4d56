"""`webtext contamination` (`python -m pipeline.contamination`); see `pipeline.contamination.command`."""

from pipeline import command
from pipeline.contamination.command import main

if __name__ == "__main__":
    command.execute(main)
