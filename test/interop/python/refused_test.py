"""What the public Python device SDK shows when a device is refused or must wait. The
runner's document says what is expected; here it is printed.

DPS_TROUBLE_SCOPE, DPS_TROUBLE_KEY   an ID scope with the enrollments "known" and "disabled"
                                     and the group "waiting", all of this key
DPS_TROUBLE_HUB                      where the moods of its hub are set
"""

import base64
import os
import threading
import time
import unittest
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from device import TRANSPORTS, Device, derived, refusal, row

SCOPE, KEY = os.environ["DPS_TROUBLE_SCOPE"], os.environ["DPS_TROUBLE_KEY"]
WRONG = base64.b64encode(bytes(32)).decode()


def hub(mood):
    urllib.request.urlopen(urllib.request.Request(f"{os.environ['DPS_TROUBLE_HUB']}/{mood}", method="POST")).close()


class Refused(unittest.TestCase):
    def test_refusals(self):
        for transport in TRANSPORTS:
            device, cert = Device(transport, SCOPE), f"ind-py-{transport.lower()}"
            for what, register in {
                "unknown device": lambda: device.with_key("nobody", WRONG),
                "bad signature": lambda: device.with_key("known", WRONG),
                "disabled": lambda: device.with_key("disabled", KEY),
                "certificate not enrolled": lambda: device.with_certificate(cert, f"{cert}.pem", f"{cert}.key"),
            }.items():
                row(transport, f"refused: {what}", lambda: refusal(register))

    def test_hub_in_trouble(self):
        for what, mood in {"hub down for 3 s": "down", "hub throttles for 3 s": "throttling"}.items():
            with self.subTest(what):
                self.wait_for_hub(what, mood)

    def wait_for_hub(self, what, mood):
        hub(mood)
        recovered = threading.Event()

        def wait(transport):
            name = f"py-{mood}-{transport.lower()}"
            result = Device(transport, SCOPE).with_key(name, derived(KEY, name))
            self.assertEqual(result.status, "assigned")
            self.assertTrue(recovered.is_set(), "assigned before the hub was back")
            return "polls until assigned"

        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(row, t, what, lambda t=t: wait(t)) for t in TRANSPORTS]
            time.sleep(3)
            recovered.set()
            hub("up")
            for w in waiting:
                w.result()


if __name__ == "__main__":
    unittest.main(verbosity=2)
