"""What `lab` does, apart from the terminal: functions that take values and return values."""
