"""The figures of a result, and what is made of definitions: docstrings, arguments and the words of a refusal."""
