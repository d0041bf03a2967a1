# The HTTP side of the studio; see app.py.
