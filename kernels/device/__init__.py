"""What code for NumPy and code for a GPU share: arrays, their way across, checks that wait, and counts of work."""
