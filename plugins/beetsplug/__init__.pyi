"""For mypy alone: at run time beetsplug is a namespace package that beets shares, and has no __init__.py."""
