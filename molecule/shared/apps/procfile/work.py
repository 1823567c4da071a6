"""A worker that has nothing to do."""

import time

time.sleep(3600)
