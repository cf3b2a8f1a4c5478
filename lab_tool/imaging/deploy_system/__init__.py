"""The small system that a PC starts over the network or from a stick to be imaged: how it is built."""
