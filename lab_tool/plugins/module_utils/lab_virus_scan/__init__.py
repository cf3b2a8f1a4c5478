"""What `lab-scan` on a PC and the modules of the role virus_scan share. Needs only the PC's own Python."""
