// First boot with the public Node.js device SDK, unmodified, over every transport with
// every attestation that needs no chip. The SDK knows 443 alone for WebSockets.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import provisioning from 'azure-iot-provisioning-service';
import { derive, file, newKey, ready, register, row, transports, withCert, withKey } from './device.mjs';

const service = provisioning.ProvisioningServiceClient.fromConnectionString(ready.serviceConnectionString);
const symmetric = (primaryKey, secondaryKey) => ({ type: 'symmetricKey', symmetricKey: { primaryKey, secondaryKey } });

for (const transport of Object.keys(transports)) {
  const unique = `${transport.toLowerCase()}-${randomBytes(3).toString('hex')}`;

  const assertAssigned = (result, id) => {
    assert.equal(result.status, 'assigned');
    assert.equal(result.registrationId, id);
    assert.equal(result.deviceId, id);
    assert.ok(ready.hubs.some((hub) => hub.hostName === result.assignedHub), `assigned to ${result.assignedHub}`);
  };

  row(transport, 'symmetric key, individual', async () => {
    const [id, primary, secondary] = [`ind-sym-${unique}`, newKey(), newKey()];
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: symmetric(primary, secondary) });
    assertAssigned(await register(transport, withKey(id, primary), { payload: { line: 3 } }), id);
    assertAssigned(await register(transport, withKey(id, secondary)), id);
  });

  row(transport, 'symmetric key, group', async () => {
    const [group, id, key] = [`grp-sym-${unique}`, `SN-7-${unique}`, newKey()];
    await service.createOrUpdateEnrollmentGroup({ enrollmentGroupId: group, attestation: symmetric(key, newKey()) });
    const result = await register(transport, withKey(id, derive(key, id)));
    assertAssigned(result, id);
    assert.equal(result.symmetricKey.enrollmentGroupId, group);
    await service.deleteEnrollmentGroup(group);
  });

  row(transport, 'X.509, individual', async () => {
    const id = `ind-${transport.toLowerCase()}`;
    await service.createOrUpdateIndividualEnrollment({
      registrationId: id, attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: file(`${id}.pem`) } } } },
    });
    assertAssigned(await register(transport, withCert(id, `${id}.pem`, `${id}.key`)), id);
  });

  row(transport, 'X.509, group with chain', async () => {
    const [group, id] = [`grp-x509-${unique}`, `grp-${transport.toLowerCase()}`];
    await service.createOrUpdateEnrollmentGroup({
      enrollmentGroupId: group, attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: file('root.pem') } } } },
    });
    const result = await register(transport, withCert(id, `${id}.chain.pem`, `${id}.key`));
    assertAssigned(result, id);
    assert.equal(result.x509.enrollmentGroupId, group);
    await service.deleteEnrollmentGroup(group);
  });
}
