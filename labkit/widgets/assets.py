"""The widgets' JavaScript and CSS, read from ``static/``."""

from importlib.resources import files

STATIC = files("labkit.widgets") / "static"


def joined(*names: str) -> str:
    """The text of several static files, one after the other.

    anywidget loads a widget's script from a blob, from where a script cannot import its siblings. Putting the
    shared part in front is the simplest thing that needs no bundler.
    """
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
