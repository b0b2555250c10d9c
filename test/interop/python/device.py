"""What the device tests share: a device of the public Python SDK, and the rows that are
printed.

DPS_READY   the ready file of dps dev
DPS_CERTS   a folder of device certificates made by the runner
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import time

from azure.iot.device import X509, ProvisioningDeviceClient

READY = json.loads(pathlib.Path(os.environ["DPS_READY"]).read_text())
CA = pathlib.Path(READY["caFile"]).read_text()
CERTS = pathlib.Path(os.environ["DPS_CERTS"])
TRANSPORTS = {"MQTT": False, "MQTT-WS": True}  # and whether it is over WebSocket


def derived(key, name):
    mac = hmac.new(base64.b64decode(key), name.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


class Device:
    """Registers over a transport, in a scope."""

    def __init__(self, transport, scope=None):
        self.common = {
            "provisioning_host": READY["deviceHost"],
            "id_scope": scope or READY["idScope"],
            "server_verification_cert": CA,
            "websockets": TRANSPORTS[transport],
        }

    def with_key(self, name, key, payload=None):
        client = ProvisioningDeviceClient.create_from_symmetric_key(registration_id=name, symmetric_key=key, **self.common)
        client.provisioning_payload = payload
        return client.register()

    def with_certificate(self, name, chain, key):
        x509 = X509(cert_file=str(CERTS / chain), key_file=str(CERTS / key))
        return ProvisioningDeviceClient.create_from_x509_certificate(registration_id=name, x509=x509, **self.common).register()


def row(transport, what, did):
    """Does something and prints its row; what is done may return what the SDK shows."""
    began = time.monotonic()
    shown = did() or "ok"
    took = round((time.monotonic() - began) * 1000)
    print(f"interop | Python | {transport} | {what} | {shown}, {took} ms", flush=True)


def refusal(register):
    """Says in one line what the SDK makes of a refusal, without tracking IDs and the like."""
    try:
        register()
    except Exception as error:  # which one is what the row tells
        cause = error.__cause__
        code = re.search(r'"errorCode": ?(\d+)', f"{error} {cause}")
        text = re.sub(r"[^\w .:,-].*|b'.*", "", str(cause), flags=re.S).strip()
        return f"{type(error).__name__} caused by {type(cause).__name__}: {text}" + (f", errorCode {code[1]}" if code else "")
    raise AssertionError("the device was not refused")
