"""What happens inside `ansible-playbook` goes into the log before the next thing happens."""
