"""Reading and filling the folder that an image server serves, and asking it as PCs do."""
