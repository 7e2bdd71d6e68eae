"""What a result is written to: a file that is read back, and a report to send around."""
