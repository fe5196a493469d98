"""Released models that ship with the package: one folder each, and which are the defaults."""

DEFAULT_MODEL = "compact"
EVENT_MODEL = "ta2net-small"  # of what is to be heard
