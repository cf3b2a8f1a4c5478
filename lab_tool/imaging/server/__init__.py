"""The image server: the daemon that PCs ask what they are to become, and the streams it sends."""
