"""The `genretagger` command, and `python -m genretagger`. It sets up signals before all else."""

import sys

from genretagger.daemon import early


def main() -> None:
    """Run the command line."""
    early.take_signals(sys.argv[1:])  # before the imports of the command line, which take a while
    from genretagger.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
