"""On the control node: orders are made, signed, sent to the image server and followed to their end."""
