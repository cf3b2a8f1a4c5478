"""What the backup modules share. Runs under the PC's own Python (3.9 or newer), with nothing but its library."""
