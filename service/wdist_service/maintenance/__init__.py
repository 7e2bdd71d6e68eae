"""What is done regularly while a process runs: cleaning up, and what retention asks for."""
