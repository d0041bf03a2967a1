# The studio's package; everything is in api/.
