"""What judges from outside say of a PC before and after the lock-down. Run: python -m tests.judges (or make judges)."""
