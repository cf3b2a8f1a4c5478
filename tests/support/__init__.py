"""What several tests and the demo need: a small school with real keys around hosts that were built."""
