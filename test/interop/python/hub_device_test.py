"""What comes after provisioning, with the public Python device SDK, unmodified: the client
connects to the assigned hub over MQTT, on 8883 and over WebSocket on 443, with the
credential that it was provisioned with, reads its twin, is told of a desired property,
reports one and sends a message, which the hub's API shows. Each row is printed.

DPS_READY, DPS_BINARY   the ready file of dps dev, and dps, which enrolls
DPS_CERTS               a folder of device certificates made by the runner
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import queue
import subprocess
import time
import unittest
import urllib.parse

import requests
from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient
from azure.iot.device.exceptions import CredentialError

READY = json.loads(pathlib.Path(os.environ["DPS_READY"]).read_text())
CA = pathlib.Path(READY["caFile"]).read_text()
CERTS = pathlib.Path(os.environ["DPS_CERTS"])
UNIQUE = f"{os.getpid()}-{int(time.time()):x}"
KEY = base64.b64encode(bytes(range(32))).decode()
WRONG = base64.b64encode(bytes(32)).decode()
DESIRED = {"colour": "grün 🟢", "limit": {"high": 20}}


def mac(key, text):
    return base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()


def enroll(kind, *args):
    """Calls the command line, which enrolls devices."""
    environ = {
        **os.environ,
        "DPS_ADMIN_URL": READY["admin"]["url"],
        "DPS_ADMIN_TOKEN": READY["admin"]["token"],
        "DPS_ADMIN_CA": READY["caFile"],
        "DPS_ID_SCOPE": READY["idScope"],
    }
    done = subprocess.run([os.environ["DPS_BINARY"], kind, *args], capture_output=True, text=True, env=environ)
    if done.returncode != 0:
        raise AssertionError(f"{args}: {done.stdout} {done.stderr}")


class Hub:
    """The assigned hub's own API, with the access policy of its connection string."""

    def __init__(self, host):
        text = next(hub["connectionString"] for hub in READY["hubs"] if hub["hostName"] == host)
        policy = dict(part.split("=", 1) for part in text.split(";"))
        expiry = str(int(time.time()) + 600)
        signature = urllib.parse.quote_plus(mac(policy["SharedAccessKey"], f"{host}\n{expiry}"))
        self.url = f"https://{host}"
        self.headers = {
            "Authorization": f"SharedAccessSignature sr={host}&sig={signature}&se={expiry}&skn={policy['SharedAccessKeyName']}"
        }

    def call(self, method, path, body=None):
        answer = requests.request(
            method, f"{self.url}{path}?api-version=2021-04-12", json=body, headers=self.headers, verify=READY["caFile"], timeout=10
        )
        answer.raise_for_status()
        return answer.json()


class AtTheHub:
    """The rows; each transport runs them all."""

    websockets = False
    name = ""

    def setUp(self):
        self.began = time.monotonic()
        self.unique = f"hub-py-{self.name.lower()}-{UNIQUE}"

    def row(self, attestation):
        """Prints a row that worked."""
        took = round((time.monotonic() - self.began) * 1000)
        print(f"interop | Python hub device | {self.name} | {attestation} | ok, {took} ms", flush=True)

    def common(self):
        return {"server_verification_cert": CA, "websockets": self.websockets}

    def where(self):
        return {"provisioning_host": READY["deviceHost"], "id_scope": READY["idScope"], **self.common()}

    def with_key(self, name, key):
        state = ProvisioningDeviceClient.create_from_symmetric_key(registration_id=name, symmetric_key=key, **self.where()).register().registration_state
        return state, lambda: IoTHubDeviceClient.create_from_symmetric_key(
            symmetric_key=key, hostname=state.assigned_hub, device_id=state.device_id, **self.common()
        )

    def with_certificate(self, name, chain):
        x509 = X509(cert_file=str(CERTS / chain), key_file=str(CERTS / f"{name}.key"))
        state = ProvisioningDeviceClient.create_from_x509_certificate(registration_id=name, x509=x509, **self.where()).register().registration_state
        return state, lambda: IoTHubDeviceClient.create_from_x509_certificate(
            x509=x509, hostname=state.assigned_hub, device_id=state.device_id, **self.common()
        )

    def use(self, state, make):
        """Does with the hub what a device and its operator do."""
        hub, name, changes = Hub(state.assigned_hub), state.device_id, queue.Queue()
        client = make()
        try:
            client.connect()
            client.on_twin_desired_properties_patch_received = changes.put
            twin = client.get_twin()
            self.assertEqual({k: twin["desired"][k] for k in DESIRED}, DESIRED)
            hub.call("PATCH", f"/twins/{name}", {"properties": {"desired": {"limit": {"high": 25}, "colour": None}}})
            patch = changes.get(timeout=10)
            self.assertEqual((patch["limit"], patch["colour"], patch["$version"]), ({"high": 25}, None, twin["desired"]["$version"] + 1))
            client.patch_twin_reported_properties({"firmware": "1.2.3", "gone": None})
            seen = hub.call("GET", f"/twins/{name}")
            self.assertEqual((seen["connectionState"], seen["properties"]["reported"]["firmware"]), ("Connected", "1.2.3"))
            message = Message('{"temperature": 21.5}', content_encoding="utf-8", content_type="application/json")
            message.custom_properties["level"] = "high & dry"
            client.send_message(message)
            heard = hub.call("GET", f"/telemetry/{name}")
            self.assertEqual((heard["messageCount"], heard["lastMessages"][0]["body"]), (1, '{"temperature": 21.5}'))
            self.assertEqual(heard["lastMessages"][0]["properties"]["level"], "high & dry")
        finally:
            client.shutdown()

    def twin_file(self):
        """The initial twin's desired properties, for the command line."""
        return ["--desired", json.dumps(DESIRED)]

    def test_symmetric_key_individual(self):
        name = f"ind-{self.unique}"
        enroll("enrollment", "create", name, "--primary-key", KEY, *self.twin_file())
        self.use(*self.with_key(name, KEY))
        self.row("symmetric key, individual")

    def test_symmetric_key_group(self):
        name, group = f"member-{self.unique}", f"grp-{self.unique}"
        enroll("group", "create", group, "--primary-key", KEY, *self.twin_file())
        self.use(*self.with_key(name, mac(KEY, name)))
        enroll("group", "delete", group)
        self.row("symmetric key, group")

    def test_x509_individual(self):
        name = f"ind-hub-python-{self.name.lower()}"
        enroll("enrollment", "create", name, "--certificate", str(CERTS / f"{name}.pem"), *self.twin_file())
        self.use(*self.with_certificate(name, f"{name}.pem"))
        self.row("X.509, individual")

    def test_x509_group(self):
        name, group = f"grp-hub-python-{self.name.lower()}", f"x509-{self.unique}"
        enroll("group", "create", group, "--certificate", str(CERTS / "root.pem"), *self.twin_file())
        self.use(*self.with_certificate(name, f"{name}.chain.pem"))
        enroll("group", "delete", group)
        self.row("X.509, group")

    def test_another_key(self):
        name = f"off-{self.unique}"
        enroll("enrollment", "create", name, "--primary-key", KEY)
        state, _ = self.with_key(name, KEY)
        client = IoTHubDeviceClient.create_from_symmetric_key(
            symmetric_key=WRONG, hostname=state.assigned_hub, device_id=name, connection_retry=False, **self.common()
        )
        with self.assertRaises(CredentialError):
            client.connect()
        client.shutdown()
        self.row("another key")


class OverMQTT(AtTheHub, unittest.TestCase):
    name = "MQTT"


class OverWebSocket(AtTheHub, unittest.TestCase):
    name = "MQTT-WS"
    websockets = True


if __name__ == "__main__":
    unittest.main(verbosity=2)
