"""What the patch modules share. Runs on the PC, under its own Python (3.9 or newer), with nothing but python3-apt."""
