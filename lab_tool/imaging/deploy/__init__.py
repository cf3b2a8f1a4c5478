"""What runs on the PC from the network: claims its order, writes the disk, reads it back, makes the PC itself."""
