"""Only for mypy: at run time beetsplug is a namespace package that beets shares."""
