"""The school: its rooms, machines and people, read from `inventory/` and refused whole when anything is wrong."""
