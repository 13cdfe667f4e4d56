"""The subcommands of `python -m dedup`, a module for each."""
