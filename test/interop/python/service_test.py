"""The public Python service client against the service API: every operation it has.

DPS_SERVICE_CONNECTION_STRING   of an owner
DPS_HUBS                        host names of linked hubs, comma-separated
DPS_BINARY, DPS_READY           dps, and the ready file of dps dev, for a device that registers
REQUESTS_CA_BUNDLE              the development CA
"""

import base64
import hashlib
import hmac
import os
import pathlib
import subprocess
import time
import unittest

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.iot.deviceprovisioning import DeviceProvisioningClient

HUBS = [hub for hub in os.environ.get("DPS_HUBS", "").split(",") if hub]
UNIQUE = f"{os.getpid()}-{int(time.time()):x}"
CERTS = pathlib.Path(__file__).parents[3] / "testdata" / "certs"
# A TPM2B_PUBLIC as far as the service looks at one: its length, then bytes.
ENDORSEMENT_KEY = base64.b64encode(bytes([0x01, 0x3A]) + bytes([7]) * 0x013A).decode()


def pem(name):
    return (CERTS / name).read_text()


class Service(unittest.TestCase):
    def setUp(self):
        self.client = DeviceProvisioningClient.from_connection_string(
            os.environ["DPS_SERVICE_CONNECTION_STRING"]
        )
        self.addCleanup(self.client.close)

    def refused(self, status, call, *args, **kwargs):
        with self.assertRaises(HttpResponseError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.status_code, status)
        return caught.exception

    def test_individual(self):
        ops, name = self.client.enrollment, f"py-sym-{UNIQUE}"
        made = ops.create_or_update(
            name,
            {
                "registrationId": name,
                "attestation": {"type": "symmetricKey", "symmetricKey": {}},
                "initialTwin": {"tags": {"line": 3}, "properties": {"desired": {"rate": 1}}},
                "iotHubs": HUBS,
                "allocationPolicy": "hashed",
                "capabilities": {"iotEdge": True},
            },
        )
        keys = made["attestation"]["symmetricKey"]
        self.assertEqual(len(base64.b64decode(keys["primaryKey"])), 64)

        read = ops.get(name)
        self.assertNotIn("primaryKey", read["attestation"].get("symmetricKey") or {})
        self.assertEqual(read["initialTwin"]["tags"], {"line": 3})
        self.assertTrue(read["capabilities"]["iotEdge"])

        read["provisioningStatus"] = "disabled"
        self.refused(409, ops.create_or_update, name, read)
        self.refused(412, ops.create_or_update, name, read, if_match='"stale"')
        updated = ops.create_or_update(name, read, if_match=read["etag"])
        self.assertEqual(updated["provisioningStatus"], "disabled")
        self.assertEqual(ops.get_attestation_mechanism(name)["symmetricKey"], keys)

        self.refused(412, ops.delete, name, if_match=read["etag"])
        ops.delete(name, if_match="*")
        with self.assertRaises(ResourceNotFoundError):
            ops.get(name)

    def test_attestation_kinds(self):
        ops = self.client.enrollment
        tpm, x509 = f"py-tpm-{UNIQUE}", f"py-x509-{UNIQUE}"
        ops.create_or_update(
            tpm,
            {
                "registrationId": tpm,
                "attestation": {"type": "tpm", "tpm": {"endorsementKey": ENDORSEMENT_KEY}},
            },
        )
        self.assertEqual(ops.get(tpm)["attestation"]["tpm"]["endorsementKey"], ENDORSEMENT_KEY)
        ops.create_or_update(
            x509,
            {
                "registrationId": x509,
                "attestation": {
                    "type": "x509",
                    "x509": {"clientCertificates": {"primary": {"certificate": pem("device.pem")}}},
                },
            },
        )
        info = ops.get(x509)["attestation"]["x509"]["clientCertificates"]["primary"]["info"]
        self.assertEqual(len(info["sha1Thumbprint"]), 40)
        for name in (tpm, x509):
            ops.delete(name)

    def test_bulk_and_query(self):
        ops = self.client.enrollment
        names = [f"py-bulk-{n}-{UNIQUE}" for n in range(10)]
        rows = [
            {"registrationId": name, "attestation": {"type": "symmetricKey", "symmetricKey": {}}}
            for name in names
        ]
        done = ops.run_bulk_operation({"mode": "create", "enrollments": rows})
        self.assertTrue(done["isSuccessful"], done)
        again = ops.run_bulk_operation({"mode": "create", "enrollments": rows[:2]})
        self.assertFalse(again["isSuccessful"])
        self.assertEqual([e["registrationId"] for e in again["errors"]], names[:2])

        found, pages = [], 0
        for page in ops.query({"query": "SELECT * FROM enrollments"}, top=3).by_page():
            pages += 1
            rows = list(page)
            self.assertLessEqual(len(rows), 3)
            found += [row["registrationId"] for row in rows]
        self.assertGreater(pages, 3)
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual(set(names), set(found))

        for mode in ("update", "updateIfMatchETag", "delete"):
            rows = [ops.get(name) for name in names]
            done = ops.run_bulk_operation({"mode": mode, "enrollments": rows})
            self.assertTrue(done["isSuccessful"], (mode, done))
        self.refused(404, ops.get, names[0])

    def test_group(self):
        ops, name = self.client.enrollment_group, f"py-grp-{UNIQUE}"
        body = {
            "enrollmentGroupId": name,
            "attestation": {
                "type": "x509",
                "x509": {"signingCertificates": {"primary": {"certificate": pem("root.pem")}}},
            },
        }
        made = ops.create_or_update(name, body)
        self.assertEqual(ops.get(name)["etag"], made["etag"])
        made["provisioningStatus"] = "disabled"
        self.assertEqual(
            ops.create_or_update(name, made, if_match=made["etag"])["provisioningStatus"], "disabled"
        )
        listed = [g["enrollmentGroupId"] for g in ops.query({"query": "SELECT * FROM enrollmentGroups"}, top=1)]
        self.assertIn(name, listed)
        ops.delete(name)
        self.refused(404, ops.get, name)

    def test_group_bulk(self):
        ops = self.client.enrollment_group
        rows = [
            {"enrollmentGroupId": f"py-gb-{n}-{UNIQUE}", "attestation": {"type": "symmetricKey", "symmetricKey": {}}}
            for n in range(3)
        ]
        for mode in ("create", "update", "delete"):
            done = ops.run_bulk_operation({"mode": mode, "enrollmentGroups": rows})
            self.assertTrue(done["isSuccessful"], (mode, done))

    def test_registration_states(self):
        group, device = f"py-reg-{UNIQUE}", f"py-dev-{UNIQUE}"
        ops, states = self.client.enrollment_group, self.client.device_registration_state
        ops.create_or_update(
            group, {"enrollmentGroupId": group, "attestation": {"type": "symmetricKey", "symmetricKey": {}}}
        )
        master = ops.get_attestation_mechanism(group)["symmetricKey"]["primaryKey"]
        derived = hmac.new(base64.b64decode(master), device.encode(), hashlib.sha256).digest()
        subprocess.run(
            [os.environ["DPS_BINARY"], "device", "register", "--ready-file", os.environ["DPS_READY"],
             "--registration-id", device, "--key", base64.b64encode(derived).decode()],
            check=True,
        )
        self.assertEqual(states.get(device)["status"], "assigned")
        self.assertEqual([s["registrationId"] for s in states.query(group)], [device])
        states.delete(device)
        self.refused(404, states.get, device)
        ops.delete(group)


if __name__ == "__main__":
    unittest.main()
