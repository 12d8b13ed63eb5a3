"""The command line: one file per command, started quickly; heavy imports live inside the commands."""
