"""`python -m genretagger` is the `genretagger` command."""

from genretagger.cli.main import main

main()
