"""The worker process: it takes attempts off the queue and trainer processes run them."""
