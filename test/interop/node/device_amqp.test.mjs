// First boot over AMQP and AMQP over WebSocket with the public Node.js device SDK,
// unmodified. It knows port 443 for WebSockets.
//
// DPS_READY             the ready file of dps dev
// DPS_CERTS             a folder of device certificates made by the runner
// NODE_EXTRA_CA_CERTS   the development CA
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningAmqp from 'azure-iot-provisioning-device-amqp';
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
const unique = randomBytes(3).toString('hex');

for (const [name, Transport] of [['amqp', provisioningAmqp.Amqp], ['amqp-ws', provisioningAmqp.AmqpWs]]) {
  const register = (id, security, payload) => {
    const client = ProvisioningDeviceClient.create(ready.deviceHost, ready.idScope, new Transport(), security);
    if (payload) client.setProvisioningPayload(payload);
    return client.register();
  };

  const assertAssigned = (result, id) => {
    assert.equal(result.status, 'assigned');
    assert.equal(result.registrationId, id);
    assert.equal(result.deviceId, id);
    assert.ok(ready.hubs.some((h) => h.hostName === result.assignedHub), `assigned to ${result.assignedHub}`);
  };

  test(`${name}: symmetric key, individual`, async () => {
    const id = `${name}-sym-${unique}`;
    const keys = { primaryKey: newKey(), secondaryKey: newKey() };
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'symmetricKey', symmetricKey: keys } });
    assertAssigned(await register(id, withKey(id, keys.primaryKey), { line: 7 }), id);
    assertAssigned(await register(id, withKey(id, keys.secondaryKey)), id);
  });

  test(`${name}: symmetric key, group`, async () => {
    const group = `${name}-grp-sym-${unique}`;
    const id = `SN-7-${name}-${unique}`;
    const primaryKey = newKey();
    await service.createOrUpdateEnrollmentGroup({ enrollmentGroupId: group, attestation: { type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey: newKey() } } });
    const result = await register(id, withKey(id, derive(primaryKey, id)));
    assertAssigned(result, id);
    assert.equal(result.symmetricKey.enrollmentGroupId, group);
    await service.deleteEnrollmentGroup(group);
  });

  test(`${name}: X.509, individual`, async () => {
    const id = `ind-${name}`;
    await service.createOrUpdateIndividualEnrollment({
      registrationId: id, attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: file(`${id}.pem`) } } } },
    });
    assertAssigned(await register(id, withCert(id, `${id}.pem`, `${id}.key`)), id);
  });

  test(`${name}: X.509, group with an intermediate in the chain`, async () => {
    const group = `${name}-grp-x509-${unique}`;
    const id = `grp-${name}`;
    await service.createOrUpdateEnrollmentGroup({
      enrollmentGroupId: group, attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: file('root.pem') } } } },
    });
    const result = await register(id, withCert(id, `${id}.chain.pem`, `${id}.key`));
    assertAssigned(result, id);
    assert.equal(result.x509.enrollmentGroupId, group);
    await service.deleteEnrollmentGroup(group);
  });

  test(`${name}: refusals are what the SDK understands`, async () => {
    const key = newKey();
    const id = `${name}-refused-${unique}`;
    // The SDK hands on the AMQP error as it came.
    const unauthorized = (error) => error.condition === 'amqp:unauthorized-access' && JSON.parse(error.description).errorCode === 401002;
    await assert.rejects(register(id, withKey(id, key)), unauthorized, 'an unknown device');
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, provisioningStatus: 'disabled', attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: key } } });
    await assert.rejects(register(id, withKey(id, newKey())), unauthorized, 'a wrong key');
    await assert.rejects(register(id, withKey(id, key)), /disabled/, 'a disabled enrollment is told to its device');
    await assert.rejects(register('ind-amqp-ws', withCert('ind-amqp-ws', 'ind-amqp.pem', 'ind-amqp.key')), unauthorized, 'a certificate of another device');
  });
}
