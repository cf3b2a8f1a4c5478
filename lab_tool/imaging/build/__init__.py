"""Makes drafts of images: from a recipe, from a disk, from what a PC sent."""
