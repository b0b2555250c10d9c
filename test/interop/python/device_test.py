"""First boot with the public Python device SDK, unmodified, over MQTT on 8883 and over
WebSocket on 443, with every attestation that it has. Each row is printed.

DPS_READY, DPS_BINARY   the ready file of dps dev, and dps, which enrolls
DPS_CERTS               a folder of device certificates made by the runner
"""

import base64
import os
import subprocess
import time
import unittest

from azure.iot.device import ProvisioningDeviceClient

from device import CERTS, READY, TRANSPORTS, Device, derived, row

UNIQUE = f"{os.getpid()}-{int(time.time()):x}"
KEY = base64.b64encode(bytes(range(32))).decode()


def dps(*args):
    """Calls the command line, which enrolls devices."""
    environ = {
        **os.environ,
        "DPS_ADMIN_URL": READY["admin"]["url"],
        "DPS_ADMIN_TOKEN": READY["admin"]["token"],
        "DPS_ADMIN_CA": READY["caFile"],
        "DPS_ID_SCOPE": READY["idScope"],
    }
    done = subprocess.run([os.environ["DPS_BINARY"], *args], capture_output=True, text=True, env=environ)
    if done.returncode != 0:
        raise AssertionError(f"{args}: {done.stdout} {done.stderr}")


class Boot(unittest.TestCase):
    def assigned(self, result, name):
        self.assertEqual(result.status, "assigned")
        self.assertEqual(result.registration_state.device_id, name)
        self.assertIn(result.registration_state.assigned_hub, [hub["hostName"] for hub in READY["hubs"]])

    def each(self, what, boot):
        for transport in TRANSPORTS:
            with self.subTest(transport):
                name = f"py-{transport.lower()}"
                row(transport, what, lambda: boot(Device(transport), name))

    def test_symmetric_key_individual(self):
        def boot(device, name):
            name = f"ind-{name}-{UNIQUE}"
            dps("enrollment", "create", name, "--primary-key", KEY)
            self.assigned(device.with_key(name, KEY, {"line": 3}), name)

        self.each("symmetric key, individual", boot)

    def test_symmetric_key_group(self):
        def boot(device, name):
            group, name = f"grp-{name}-{UNIQUE}", f"member-{name}-{UNIQUE}"
            dps("group", "create", group, "--primary-key", KEY)
            self.assigned(device.with_key(name, derived(KEY, name)), name)
            dps("group", "delete", group)

        self.each("symmetric key, group", boot)

    def test_x509_individual(self):
        def boot(device, name):
            name = f"ind-{name}"
            dps("enrollment", "create", name, "--certificate", str(CERTS / f"{name}.pem"))
            self.assigned(device.with_certificate(name, f"{name}.pem", f"{name}.key"), name)

        self.each("X.509, individual", boot)

    def test_x509_group(self):
        def boot(device, name):
            group, name = f"x509-{name}-{UNIQUE}", f"grp-{name}"
            dps("group", "create", group, "--certificate", str(CERTS / "root.pem"))
            self.assigned(device.with_certificate(name, f"{name}.chain.pem", f"{name}.key"), name)
            dps("group", "delete", group)

        self.each("X.509, group with chain", boot)

    def test_other_transports(self):
        made = [name for name in dir(ProvisioningDeviceClient) if name.startswith("create_from")]
        self.assertEqual(made, ["create_from_symmetric_key", "create_from_x509_certificate"])
        for transport in ("HTTPS", "AMQP", "AMQP-WS"):
            row(transport, "any attestation", lambda: "cannot work: the SDK speaks MQTT alone")


if __name__ == "__main__":
    unittest.main(verbosity=2)
