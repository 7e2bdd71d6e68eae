"""What a person sees: results as text, HTML and pictures, and progress bars."""
