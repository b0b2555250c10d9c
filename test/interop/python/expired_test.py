"""A device whose clock is slow, so that its tokens are expired when it makes them. To be
run under faketime. Its environment is that of refused_test.py.
"""

import os

from device import TRANSPORTS, Device, refusal, row

for transport in TRANSPORTS:
    device = Device(transport, os.environ["DPS_TROUBLE_SCOPE"])
    row(transport, "refused: expired token", lambda: refusal(lambda: device.with_key("known", os.environ["DPS_TROUBLE_KEY"])))
