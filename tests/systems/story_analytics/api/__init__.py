# The chart publisher's package; see main.py.
