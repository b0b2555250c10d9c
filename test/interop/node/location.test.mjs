// A device of the public Node.js SDK boots from somewhere, and is told the hub that is
// nearest to there.
//
// DPS_READY             the ready file of dps dev
// DPS_HTTPS_PORT        of the way that the device takes, with --import ./port.mjs
// DPS_GROUP_KEY         of its enrollment group
// DPS_ID, DPS_HUB       its ID, and the hub that it expects
// DPS_PAYLOAD           what it reports; may be empty
// NODE_EXTRA_CA_CERTS   the development CA
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningHttp from 'azure-iot-provisioning-device-http';
import securityKey from 'azure-iot-security-symmetric-key';

const { DPS_GROUP_KEY: groupKey, DPS_ID: id, DPS_HUB: hub, DPS_PAYLOAD: payload } = process.env;
const ready = JSON.parse(readFileSync(process.env.DPS_READY, 'utf8'));

test(`${id} is put on ${hub}`, async () => {
  const key = createHmac('sha256', Buffer.from(groupKey, 'base64')).update(id, 'utf8').digest('base64');
  const client = provisioningDevice.ProvisioningDeviceClient.create(
    ready.deviceHost, ready.idScope, new provisioningHttp.Http(), new securityKey.SymmetricKeySecurityClient(id, key),
  );
  if (payload) client.setProvisioningPayload(JSON.parse(payload));
  const result = await client.register();
  assert.equal(result.status, 'assigned');
  assert.equal(result.assignedHub, hub);
});
