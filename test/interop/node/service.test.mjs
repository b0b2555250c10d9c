// The public Node.js service SDK against the service API: what a manufacturer's tool
// does with enrollments and groups. Needs DPS_SERVICE_CONNECTION_STRING, DPS_HUBS (host
// names of linked hubs, comma-separated) and NODE_EXTRA_CA_CERTS.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import provisioning from 'azure-iot-provisioning-service';

const connectionString = process.env.DPS_SERVICE_CONNECTION_STRING;
const hubs = (process.env.DPS_HUBS ?? '').split(',').filter(Boolean);
const client = provisioning.ProvisioningServiceClient.fromConnectionString(connectionString);
const unique = `${process.pid}-${Date.now().toString(36)}`;
const pem = (name) => readFileSync(new URL(`../../../testdata/certs/${name}`, import.meta.url), 'utf8');
const body = async (promise) => (await promise).responseBody;

// A TPM2B_PUBLIC as far as the service looks at one: its length, then bytes.
const endorsementKey = Buffer.concat([Buffer.from([0x01, 0x3a]), Buffer.alloc(0x013a, 7)]).toString('base64');

async function rejects(promise, name) {
  const err = await promise.then(() => null, (e) => e);
  assert.ok(err, `expected ${name}, but the call succeeded`);
  assert.equal(err.name, name, `${err.name}: ${err.message}`);
  return err;
}

test('symmetric key enrollment: create, read masked, update, reveal, delete', async () => {
  const id = `sn-sym-${unique}`;
  const made = await body(client.createOrUpdateIndividualEnrollment({
    registrationId: id,
    deviceId: `device-${unique}`,
    attestation: { type: 'symmetricKey' },
    initialTwin: { tags: { line: 3 }, properties: { desired: { rate: 1 } } },
    iotHubs: hubs,
    allocationPolicy: 'hashed',
  }));
  assert.equal(made.registrationId, id);
  assert.equal(Buffer.from(made.attestation.symmetricKey.primaryKey, 'base64').length, 64);
  assert.deepEqual(made.iotHubs ?? [], hubs);
  assert.deepEqual(made.reprovisionPolicy, { updateHubAssignment: true, migrateDeviceData: true });

  const read = await body(client.getIndividualEnrollment(id));
  assert.equal(read.attestation.symmetricKey, undefined, 'a read shows keys');
  assert.equal(read.registrationState.status, 'unassigned');
  assert.deepEqual(read.initialTwin, { tags: { line: 3 }, properties: { desired: { rate: 1 } } });

  read.provisioningStatus = 'disabled';
  const updated = await body(client.createOrUpdateIndividualEnrollment(read));
  assert.equal(updated.provisioningStatus, 'disabled');
  assert.deepEqual(updated.attestation, made.attestation, 'a masked update changed the keys');

  const revealed = await body(client.getIndividualEnrollmentAttestationMechanism(id));
  assert.deepEqual(revealed, made.attestation);

  await rejects(client.createOrUpdateIndividualEnrollment({ ...read, etag: made.etag }), 'InvalidEtagError');
  await rejects(client.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'symmetricKey' } }), 'DeviceAlreadyExistsError');
  await rejects(client.deleteIndividualEnrollment(id, made.etag), 'InvalidEtagError');
  await client.deleteIndividualEnrollment(updated);
  const gone = await rejects(client.getIndividualEnrollment(id), 'Error');
  assert.equal(JSON.parse(gone.responseBody).errorCode, 404201);
});

test('given keys are kept as they are, and a bad one is refused', async () => {
  const id = `sn-keys-${unique}`;
  const keys = { primaryKey: Buffer.alloc(64, 1).toString('base64'), secondaryKey: Buffer.alloc(16, 2).toString('base64') };
  const made = await body(client.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'symmetricKey', symmetricKey: keys } }));
  assert.deepEqual(made.attestation.symmetricKey, keys);
  const short = { type: 'symmetricKey', symmetricKey: { primaryKey: 'c2hvcnQ=', secondaryKey: '' } };
  const err = await rejects(client.createOrUpdateIndividualEnrollment({ registrationId: `${id}-2`, attestation: short }), 'ArgumentError');
  assert.equal(JSON.parse(err.responseBody).info.field, 'attestation.symmetricKey.primaryKey');
  await client.deleteIndividualEnrollment(id);
});

test('X.509 enrollment: info comes back, and an update without the text keeps the certificate', async () => {
  const id = `sn-x509-${unique}`;
  const made = await body(client.createOrUpdateIndividualEnrollment({
    registrationId: id,
    attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: pem('device.pem') } } } },
  }));
  const info = made.attestation.x509.clientCertificates.primary.info;
  assert.equal(info.subjectName, 'CN=test-device');
  assert.match(info.sha256Thumbprint, /^[0-9A-F]{64}$/);

  const read = await body(client.getIndividualEnrollment(id));
  read.attestation.x509.clientCertificates.secondary = { certificate: pem('device-rolled.pem') };
  const rolled = await body(client.createOrUpdateIndividualEnrollment(read));
  const slots = rolled.attestation.x509.clientCertificates;
  assert.equal(slots.primary.info.sha256Thumbprint, info.sha256Thumbprint);
  assert.notEqual(slots.secondary.info.sha256Thumbprint, info.sha256Thumbprint);

  slots.primary = null;
  const last = await body(client.createOrUpdateIndividualEnrollment(rolled));
  assert.equal(last.attestation.x509.clientCertificates.primary ?? null, null);
  assert.ok(last.attestation.x509.clientCertificates.secondary.info);

  const mechanism = await body(client.getIndividualEnrollmentAttestationMechanism(id));
  assert.equal(mechanism.type, 'x509');
  await client.deleteIndividualEnrollment(id);
});

test('TPM enrollment', async () => {
  const id = `sn-tpm-${unique}`;
  const made = await body(client.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'tpm', tpm: { endorsementKey } } }));
  assert.deepEqual(made.attestation, { type: 'tpm', tpm: { endorsementKey } });
  const mechanism = await body(client.getIndividualEnrollmentAttestationMechanism(id));
  assert.equal(mechanism.tpm.endorsementKey, endorsementKey);
  await client.deleteIndividualEnrollment(id, made.etag);
});

test('symmetric key group: create, update, reveal, delete', async () => {
  const id = `line-sym-${unique}`;
  const made = await body(client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: id, attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: '', secondaryKey: '' } } }));
  assert.equal(Buffer.from(made.attestation.symmetricKey.secondaryKey, 'base64').length, 64);
  const read = await body(client.getEnrollmentGroup(id));
  assert.equal(read.attestation.symmetricKey, undefined, 'a read shows keys');
  read.initialTwin = { tags: { site: 'A' }, properties: { desired: {} } };
  const updated = await body(client.createOrUpdateEnrollmentGroup(read));
  assert.deepEqual(updated.attestation, made.attestation, 'a masked update changed the keys');
  assert.deepEqual(await body(client.getEnrollmentGroupAttestationMechanism(id)), made.attestation);
  await rejects(client.createOrUpdateEnrollmentGroup({ ...read, etag: made.etag }), 'InvalidEtagError');
  await rejects(client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: id, attestation: { type: 'symmetricKey' } }), 'DeviceAlreadyExistsError');
  await client.deleteEnrollmentGroup(updated);
  const gone = await rejects(client.getEnrollmentGroup(id), 'Error');
  assert.equal(JSON.parse(gone.responseBody).errorCode, 404202);
});

test('X.509 group with a signing certificate', async () => {
  const id = `line:x509-${unique}`; // the client percent-encodes the colon
  const made = await body(client.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: id,
    attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: pem('root.pem') } } } },
    iotHubs: hubs.slice(0, 1),
    allocationPolicy: 'static',
  }));
  assert.equal(made.enrollmentGroupId, id);
  assert.equal(made.allocationPolicy, 'static');
  assert.equal(made.attestation.x509.signingCertificates.primary.info.subjectName, 'CN=dps test root');
  const read = await body(client.getEnrollmentGroup(id));
  read.provisioningStatus = 'disabled';
  assert.equal((await body(client.createOrUpdateEnrollmentGroup(read))).provisioningStatus, 'disabled');
  await client.deleteEnrollmentGroup(id);
});

test('refusals reach the caller as the client knows them', async () => {
  await rejects(client.createOrUpdateIndividualEnrollment({ registrationId: `sn-hub-${unique}`, attestation: { type: 'symmetricKey' }, iotHubs: ['elsewhere.example'] }), 'ArgumentError');
  await rejects(client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: `g-tpm-${unique}`, attestation: { type: 'tpm', tpm: { endorsementKey } } }), 'ArgumentError');
  const wrong = connectionString.replace(/SharedAccessKey=.*$/, `SharedAccessKey=${Buffer.alloc(64, 9).toString('base64')}`);
  const stranger = provisioning.ProvisioningServiceClient.fromConnectionString(wrong);
  await rejects(stranger.getIndividualEnrollment('any'), 'UnauthorizedError');
});

test('callbacks work as promises do', async () => {
  const id = `sn-cb-${unique}`;
  await new Promise((resolve, reject) => {
    client.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'symmetricKey' } }, (err, made) => {
      if (err) return reject(err);
      client.deleteIndividualEnrollment(id, made.etag, (gone) => (gone ? reject(gone) : resolve()));
    });
  });
});
