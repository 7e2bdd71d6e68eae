"""The worker process: takes attempts off the queue and has trainer processes run them."""
