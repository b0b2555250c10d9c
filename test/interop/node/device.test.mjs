// First boot with the public Node.js SDKs, unmodified: the service SDK enrolls, the
// device SDK registers over HTTPS, and the hub SDK reads back what the hub holds.
//
// DPS_READY             the ready file of dps dev
// DPS_CERTS             a folder of device certificates made by the runner
// DPS_HTTPS_PORT        when it is not 443, with --import ./port.mjs
// NODE_EXTRA_CA_CERTS   the development CA
import assert from 'node:assert/strict';
import { createHmac, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import test from 'node:test';
import iothub from 'azure-iothub';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningHttp from 'azure-iot-provisioning-device-http';
import provisioning from 'azure-iot-provisioning-service';
import securityKey from 'azure-iot-security-symmetric-key';
import securityX509 from 'azure-iot-security-x509';

const { ProvisioningDeviceClient } = provisioningDevice;
const { Http } = provisioningHttp;
const { SymmetricKeySecurityClient } = securityKey;
const { X509Security } = securityX509;

const ready = JSON.parse(readFileSync(process.env.DPS_READY, 'utf8'));
const service = provisioning.ProvisioningServiceClient.fromConnectionString(ready.serviceConnectionString);
const file = (name) => readFileSync(`${process.env.DPS_CERTS}/${name}`, 'utf8');
const newKey = () => randomBytes(32).toString('base64');
const derive = (groupKey, id) => createHmac('sha256', Buffer.from(groupKey, 'base64')).update(id, 'utf8').digest('base64');
const unique = randomBytes(3).toString('hex');

const initialTwin = { tags: { site: 'A', line: 3 }, properties: { desired: { rate: 1, nested: { on: true } } } };

/** Registers a device and returns the SDK's result. */
function register(id, security, payload) {
  const client = ProvisioningDeviceClient.create(ready.deviceHost, ready.idScope, new Http(), security);
  if (payload) client.setProvisioningPayload(payload);
  return client.register();
}

const withKey = (id, key) => new SymmetricKeySecurityClient(id, key);
const withCert = (id, chain, key) => new X509Security(id, { cert: file(chain), key: file(key) });
const sha256 = (name) => new X509Certificate(file(name)).fingerprint256.replaceAll(':', '');

/** Reads device and twin from the hub that the device was told. */
async function inHub(result) {
  const hub = ready.hubs.find((h) => h.hostName === result.assignedHub);
  assert.ok(hub, `assigned to ${result.assignedHub}, which is not a hub of this deployment`);
  const registry = iothub.Registry.fromConnectionString(hub.connectionString);
  if (hub.port !== 443) {
    registry._restApiClient.setOptions({ http: { agent: new https.Agent({ port: hub.port, keepAlive: true }) } });
  }
  const device = (await registry.get(result.deviceId)).responseBody;
  const twin = (await registry.getTwin(result.deviceId)).responseBody;
  return { device, twin };
}

function assertTwin(twin) {
  assert.deepEqual(twin.tags, initialTwin.tags);
  const { $metadata, $version, ...desired } = twin.properties.desired;
  assert.deepEqual(desired, initialTwin.properties.desired);
  assert.equal(typeof $version, 'number');
}

function assertAssigned(result, id) {
  assert.equal(result.status, 'assigned');
  assert.equal(result.registrationId, id);
  assert.equal(result.substatus, 'initialAssignment');
  assert.match(result.createdDateTimeUtc, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/);
}

test('symmetric key, individual: primary and secondary', async () => {
  for (const slot of ['primaryKey', 'secondaryKey']) {
    const id = `ind-sym-${slot.toLowerCase()}-${unique}`;
    const keys = { primaryKey: newKey(), secondaryKey: newKey() };
    await service.createOrUpdateIndividualEnrollment({
      registrationId: id, deviceId: `Device-${id}`, initialTwin,
      attestation: { type: 'symmetricKey', symmetricKey: keys }, capabilities: { iotEdge: true },
    });
    const result = await register(id, withKey(id, keys[slot]), { line: 7 });
    assertAssigned(result, id);
    assert.equal(result.deviceId, `Device-${id}`);
    const { device, twin } = await inHub(result);
    assert.equal(device.authentication.type, 'sas');
    assert.equal(device.authentication.symmetricKey.primaryKey, keys.primaryKey);
    assert.equal(device.authentication.symmetricKey.secondaryKey, keys.secondaryKey);
    assert.equal(device.capabilities.iotEdge, true);
    assert.equal(device.status, 'enabled');
    assertTwin(twin);
  }
});

test('symmetric key, group: derived keys', async () => {
  const group = `grp-sym-${unique}`;
  const keys = { primaryKey: newKey(), secondaryKey: newKey() };
  await service.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: group, attestation: { type: 'symmetricKey', symmetricKey: keys }, initialTwin,
  });
  for (const slot of ['primaryKey', 'secondaryKey']) {
    const id = `SN-007-${slot}-${unique}`;
    const result = await register(id, withKey(id, derive(keys[slot], id)));
    assertAssigned(result, id);
    assert.equal(result.deviceId, id);
    assert.equal(result.symmetricKey.enrollmentGroupId, group);
    const { device, twin } = await inHub(result);
    assert.equal(device.authentication.symmetricKey.primaryKey, derive(keys.primaryKey, id));
    assert.equal(device.authentication.symmetricKey.secondaryKey, derive(keys.secondaryKey, id));
    assertTwin(twin);
  }
  await assert.rejects(register(`x-${unique}`, withKey(`x-${unique}`, keys.primaryKey)), { name: 'UnauthorizedError' }, 'the group key itself must not be accepted');
});

test('X.509, individual: primary and secondary leaf', async () => {
  const id = 'ind-x509';
  await service.createOrUpdateIndividualEnrollment({
    registrationId: id, initialTwin,
    attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: file('ind-x509-a.pem') }, secondary: { certificate: file('ind-x509-b.pem') } } } },
  });
  let result = await register(id, withCert(id, 'ind-x509-a.pem', 'ind-x509-a.key'));
  assertAssigned(result, id);
  assert.equal(result.x509.certificateInfo.sha256Thumbprint, sha256('ind-x509-a.pem'));
  let { device, twin } = await inHub(result);
  assert.equal(device.authentication.type, 'selfSigned');
  assert.equal(device.authentication.x509Thumbprint.primaryThumbprint.toUpperCase(), sha256('ind-x509-a.pem'));
  assert.equal(device.authentication.x509Thumbprint.secondaryThumbprint.toUpperCase(), sha256('ind-x509-b.pem'));
  assertTwin(twin);

  result = await register(id, withCert(id, 'ind-x509-b.pem', 'ind-x509-b.key'));
  assert.equal(result.status, 'assigned');
  ({ device } = await inHub(result));
  assert.equal(device.authentication.x509Thumbprint.primaryThumbprint.toUpperCase(), sha256('ind-x509-b.pem'));
});

test('X.509, group: by inline root with an intermediate in the chain', async () => {
  const group = `grp-root-${unique}`;
  const id = 'grp-root-device';
  await service.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: group, initialTwin,
    attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: file('root.pem') } } } },
  });
  const result = await register(id, withCert(id, 'grp-root-device.chain.pem', 'grp-root-device.key'));
  assertAssigned(result, id);
  assert.equal(result.x509.enrollmentGroupId, group);
  assert.equal(result.x509.signingCertificateInfo.subjectName, 'CN=interop root');
  const { device, twin } = await inHub(result);
  assert.equal(device.authentication.x509Thumbprint.primaryThumbprint.toUpperCase(), sha256('grp-root-device.pem'));
  assertTwin(twin);
  await service.deleteEnrollmentGroup(group);
});

test('X.509, group: by intermediate, the device sends its leaf alone', async () => {
  const group = `grp-int-${unique}`;
  const id = 'grp-int-device';
  await service.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: group,
    attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: file('intermediate.pem') } } } },
  });
  const result = await register(id, withCert(id, 'grp-int-device.pem', 'grp-int-device.key'));
  assertAssigned(result, id);
  assert.equal(result.x509.enrollmentGroupId, group);
  await service.deleteEnrollmentGroup(group);
});

test('X.509, group: by the name of a verified CA certificate', async () => {
  const group = `grp-ca-${unique}`;
  const id = 'grp-ca-device';
  await admin('PUT', `/scopes/${ready.idScope}/certificates/interop-root`, { certificate: file('root.pem'), isVerified: true });
  await service.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: group, attestation: { type: 'x509', x509: { caReferences: { primary: 'interop-root' } } },
  });
  const result = await register(id, withCert(id, 'grp-ca-device.chain.pem', 'grp-ca-device.key'));
  assertAssigned(result, id);
  assert.equal(result.x509.enrollmentGroupId, group);
  await service.deleteEnrollmentGroup(group);
  await admin('DELETE', `/scopes/${ready.idScope}/certificates/interop-root`);
});

test('registering again keeps hub and twin', async () => {
  const id = `again-${unique}`;
  const key = newKey();
  await service.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: key } }, initialTwin });
  const first = await register(id, withKey(id, key));
  const second = await register(id, withKey(id, key));
  assert.equal(second.assignedHub, first.assignedHub);
  assert.equal(second.deviceId, first.deviceId);
  assert.equal(second.substatus, 'reprovisionedToInitialAssignment');
});

test('refusals are what the SDK understands', async () => {
  const key = newKey();
  const id = `refused-${unique}`;
  await assert.rejects(register(id, withKey(id, key)), { name: 'UnauthorizedError' }, 'an unknown device');
  await service.createOrUpdateIndividualEnrollment({ registrationId: id, provisioningStatus: 'disabled', attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: key } } });
  await assert.rejects(register(id, withKey(id, newKey())), { name: 'UnauthorizedError' }, 'a wrong key');
  await assert.rejects(register(id, withKey(id, key)), /disabled/, 'a disabled enrollment is told to its device');
});

/** Calls the operator's API. */
function admin(method, path, body) {
  const url = new URL(`${ready.admin.url}/admin/v1${path}`);
  return new Promise((resolve, reject) => {
    const request = https.request({
      host: url.hostname, port: url.port, path: url.pathname, method, agent: new https.Agent(),
      headers: { authorization: `Bearer ${ready.admin.token}`, 'content-type': 'application/json' },
    }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => (response.statusCode < 300 ? resolve(text) : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))));
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
