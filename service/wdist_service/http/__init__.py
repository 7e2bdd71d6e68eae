"""What every request passes through, and what all endpoints share."""
