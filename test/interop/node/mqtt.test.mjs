// First boot over MQTT with the public Node.js device SDK, unmodified, on 8883 and over
// WebSocket on 443: each attestation kind, and what the SDK makes of a refusal. Each row is
// printed.
//
// DPS_READY             the ready file of dps dev
// DPS_CERTS             a folder of device certificates made by the runner
// NODE_EXTRA_CA_CERTS   the development CA
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt';
import provisioning from 'azure-iot-provisioning-service';
import securityKey from 'azure-iot-security-symmetric-key';
import securityX509 from 'azure-iot-security-x509';

const { ProvisioningDeviceClient } = provisioningDevice;
const { SymmetricKeySecurityClient } = securityKey;
const { X509Security } = securityX509;

const ready = JSON.parse(readFileSync(process.env.DPS_READY, 'utf8'));
const service = provisioning.ProvisioningServiceClient.fromConnectionString(ready.serviceConnectionString);
const file = (name) => readFileSync(`${process.env.DPS_CERTS}/${name}`, 'utf8');
const newKey = () => randomBytes(32).toString('base64');
const derive = (groupKey, id) => createHmac('sha256', Buffer.from(groupKey, 'base64')).update(id, 'utf8').digest('base64');

const withKey = (id, key) => new SymmetricKeySecurityClient(id, key);
const withCert = (id, chain, key) => new X509Security(id, { cert: file(chain), key: file(key) });
const symmetric = (primaryKey) => ({ type: 'symmetricKey', symmetricKey: { primaryKey } });

for (const [transport, Transport] of [['MQTT', provisioningMqtt.Mqtt], ['MQTT-WS', provisioningMqtt.MqttWs]]) {
  const unique = `${transport.toLowerCase()}-${randomBytes(3).toString('hex')}`;

  const register = (id, security, payload) => {
    const client = ProvisioningDeviceClient.create(ready.deviceHost, ready.idScope, new Transport(), security);
    if (payload) client.setProvisioningPayload(payload);
    return client.register();
  };

  const row = (attestation, f) => test(`${transport}: ${attestation}`, async () => {
    const began = performance.now();
    await f();
    console.log(`interop | Node.js | ${transport} | ${attestation} | ok, ${Math.round(performance.now() - began)} ms`);
  });

  const assertAssigned = (result, id) => {
    assert.equal(result.status, 'assigned');
    assert.equal(result.registrationId, id);
    assert.ok(ready.hubs.some((hub) => hub.hostName === result.assignedHub), `assigned to ${result.assignedHub}`);
  };

  row('symmetric key, individual', async () => {
    const [id, key] = [`ind-sym-${unique}`, newKey()];
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: symmetric(key) });
    assertAssigned(await register(id, withKey(id, key), { line: 3 }), id);
    assertAssigned(await register(id, withKey(id, key)), id);
  });

  row('symmetric key, group', async () => {
    const [group, id, key] = [`grp-sym-${unique}`, `dev-${unique}`, newKey()];
    await service.createOrUpdateEnrollmentGroup({ enrollmentGroupId: group, attestation: symmetric(key) });
    assertAssigned(await register(id, withKey(id, derive(key, id))), id);
    await service.deleteEnrollmentGroup(group);
  });

  row('X.509, individual', async () => {
    const id = 'mqtt-x509';
    await service.createOrUpdateIndividualEnrollment({
      registrationId: id, attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: file('mqtt-x509.pem') } } } },
    });
    assertAssigned(await register(id, withCert(id, 'mqtt-x509.pem', 'mqtt-x509.key')), id);
    await service.deleteIndividualEnrollment(id);
  });

  row('X.509, group', async () => {
    const [group, id] = [`grp-x509-${unique}`, 'grp-root-device'];
    await service.createOrUpdateEnrollmentGroup({
      enrollmentGroupId: group, attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: file('root.pem') } } } },
    });
    const result = await register(id, withCert(id, 'grp-root-device.chain.pem', 'grp-root-device.key'));
    assertAssigned(result, id);
    assert.equal(result.x509.enrollmentGroupId, group);
    await service.deleteEnrollmentGroup(group);
  });

  row('unknown device', async () => {
    const id = `unknown-${unique}`;
    await assert.rejects(register(id, withKey(id, newKey())), { name: 'UnauthorizedError' });
  });

  row('bad signature, then disabled', async () => {
    const [id, key] = [`off-${unique}`, newKey()];
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, provisioningStatus: 'disabled', attestation: symmetric(key) });
    await assert.rejects(register(id, withKey(id, newKey())), { name: 'UnauthorizedError' });
    await assert.rejects(register(id, withKey(id, key)), /disabled/);
  });
}
