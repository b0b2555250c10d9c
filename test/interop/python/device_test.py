"""First boot with the public Python device SDK, unmodified, over MQTT on 8883 and over
WebSocket on 443: each attestation kind, and what the SDK makes of a refusal. Each row is
printed.

DPS_READY, DPS_BINARY   the ready file of dps dev, and dps, which enrolls
DPS_CERTS               a folder of device certificates made by the runner
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import time
import unittest

from azure.iot.device import X509, ProvisioningDeviceClient
from azure.iot.device.exceptions import ClientError

READY = json.loads(pathlib.Path(os.environ["DPS_READY"]).read_text())
CA = pathlib.Path(READY["caFile"]).read_text()
CERTS = pathlib.Path(os.environ["DPS_CERTS"])
UNIQUE = f"{os.getpid()}-{int(time.time()):x}"
KEY = base64.b64encode(bytes(range(32))).decode()
WRONG = base64.b64encode(bytes(32)).decode()


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


def derived(name):
    mac = hmac.new(base64.b64decode(KEY), name.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


class Conversation:
    """The rows; each transport runs them all."""

    websockets = False
    name = ""

    def setUp(self):
        self.began = time.monotonic()
        self.unique = f"py-{self.name.lower()}-{UNIQUE}"

    def row(self, attestation):
        """Prints a row that worked."""
        took = round((time.monotonic() - self.began) * 1000)
        print(f"interop | Python | {self.name} | {attestation} | ok, {took} ms", flush=True)

    def common(self):
        return {
            "provisioning_host": READY["deviceHost"],
            "id_scope": READY["idScope"],
            "server_verification_cert": CA,
            "websockets": self.websockets,
        }

    def with_key(self, name, key, payload=None):
        client = ProvisioningDeviceClient.create_from_symmetric_key(registration_id=name, symmetric_key=key, **self.common())
        client.provisioning_payload = payload
        return client.register()

    def with_certificate(self, name, chain, key):
        x509 = X509(cert_file=str(CERTS / chain), key_file=str(CERTS / key))
        return ProvisioningDeviceClient.create_from_x509_certificate(registration_id=name, x509=x509, **self.common()).register()

    def assigned(self, result, name):
        self.assertEqual(result.status, "assigned")
        self.assertEqual(result.registration_state.device_id, name)
        self.assertIn(result.registration_state.assigned_hub, [hub["hostName"] for hub in READY["hubs"]])

    def test_symmetric_key_individual(self):
        name = f"ind-{self.unique}"
        dps("enrollment", "create", name, "--primary-key", KEY)
        self.assigned(self.with_key(name, KEY, {"line": 3}), name)
        self.row("symmetric key, individual")

    def test_symmetric_key_group(self):
        name = f"member-{self.unique}"
        dps("group", "create", f"grp-{self.unique}", "--primary-key", KEY)
        self.assigned(self.with_key(name, derived(name)), name)
        dps("group", "delete", f"grp-{self.unique}")
        self.row("symmetric key, group")

    def test_x509_individual(self):
        dps("enrollment", "create", "mqtt-x509", "--certificate", str(CERTS / "mqtt-x509.pem"))
        self.assigned(self.with_certificate("mqtt-x509", "mqtt-x509.pem", "mqtt-x509.key"), "mqtt-x509")
        dps("enrollment", "delete", "mqtt-x509")
        self.row("X.509, individual")

    def test_x509_group(self):
        group = f"x509-{self.unique}"
        dps("group", "create", group, "--certificate", str(CERTS / "root.pem"))
        self.assigned(self.with_certificate("grp-root-device", "grp-root-device.chain.pem", "grp-root-device.key"), "grp-root-device")
        dps("group", "delete", group)
        self.row("X.509, group")

    def test_unknown_and_bad_signature_and_disabled(self):
        name = f"off-{self.unique}"
        with self.assertRaises(ClientError) as unknown:
            self.with_key(name, KEY)
        dps("enrollment", "create", name, "--primary-key", KEY)
        with self.assertRaises(ClientError) as wrong:
            self.with_key(name, WRONG)
        for caught in (unknown, wrong):
            self.assertIn("401", str(caught.exception.__cause__))
        dps("enrollment", "update", name, "--disable")
        with self.assertRaises(ClientError):
            self.with_key(name, KEY)
        self.row("unknown, bad signature, disabled")


class OverMQTT(Conversation, unittest.TestCase):
    name = "MQTT"


class OverWebSocket(Conversation, unittest.TestCase):
    name = "MQTT-WS"
    websockets = True


if __name__ == "__main__":
    unittest.main(verbosity=2)
