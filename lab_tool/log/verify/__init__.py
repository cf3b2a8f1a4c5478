"""An independent reader of the log: it knows the format of docs/LOG.md and shares no code with what writes it."""
