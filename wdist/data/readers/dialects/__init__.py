"""How a CSV file is written: `text` makes it UTF-8, `sample` looks into it, `dialect` says what it is, or what to say.

Whatever could be read in two ways is refused, with the option that settles it. Nothing is decided by one line.
"""
