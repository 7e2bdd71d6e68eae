"""What a server forgets, and when: old estimates, batches and sample sets, and the details of old events."""
