import logging

# Failures are what is tested; whoever wants to read of them says so here.
logging.getLogger("bearer").setLevel(logging.CRITICAL)
