"""Images: what they are, where they are kept, how they are made, brought to PCs and proved to be there."""
