"""Speed, as ratios against a baseline run beside it. Nothing here is asserted in the test suite."""
