"""Display results as text, HTML and pictures, and show progress bars."""
