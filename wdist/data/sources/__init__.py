"""What a user gives as a sample set, opened as rows: files, frames and arrays.

`advice` puts what a reader refuses into the words of Python or of the command line.
"""
