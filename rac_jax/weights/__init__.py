"""Released models that ship with the package: one folder each, and which one is the default."""

DEFAULT_MODEL = "compact"
