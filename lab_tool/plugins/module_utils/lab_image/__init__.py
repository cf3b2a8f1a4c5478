"""What the modules of the verb image know: where a PC starts from, and what it says that it is."""
