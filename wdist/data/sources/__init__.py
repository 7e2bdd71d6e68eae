"""What a user gives as a sample set, opened as rows: files, frames and arrays; and advice in the words of Python or flags."""
