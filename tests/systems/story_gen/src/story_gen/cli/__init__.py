# The studio's commands; see api.py.
