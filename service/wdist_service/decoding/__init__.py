"""Uploads that are not .npy files, turned into one by a child process with limited memory, time and output.

`formats` names what is read, `runner` starts the child (both used by the API), `__main__` is the child, which holds no
secrets and is given two open files and nothing else.
"""
