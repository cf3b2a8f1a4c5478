"""The control node's store of images: versions that never change, and what their partitions hold."""
