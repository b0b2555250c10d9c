// The public Node.js service SDK against the service API: every operation it has, as a
// manufacturer's tool calls it.
//
// DPS_SERVICE_CONNECTION_STRING   of an owner
// DPS_HUBS                        host names of linked hubs, comma-separated
// DPS_READY                       the ready file of dps dev, for devices that register
// NODE_EXTRA_CA_CERTS             the development CA
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningHttp from 'azure-iot-provisioning-device-http';
import provisioning from 'azure-iot-provisioning-service';
import securityKey from 'azure-iot-security-symmetric-key';

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

/** A bulk call; only the callback form of the SDK ever settles. */
const bulk = (operation) => new Promise((resolve, reject) => {
  client.runBulkEnrollmentOperation(operation, (err, result) => (err ? reject(err) : resolve(result)));
});

/** Every page of a query, by token or by callback. */
async function pages(query, { byCallback } = {}) {
  const out = [];
  for (let token; query.hasMoreResults;) {
    const answer = await (byCallback
      ? new Promise((resolve, reject) => query.next((err, items, response) => (err ? reject(err) : resolve({ responseBody: items, httpResponse: response }))))
      : query.next(token));
    token = answer.httpResponse.headers['x-ms-continuation'];
    out.push(answer);
    assert.ok(out.length < 100, 'the query has no end');
  }
  return out;
}

test('bulk operations', async () => {
  const entry = (n, more) => ({ registrationId: `bulk-${n}-${unique}`, attestation: { type: 'symmetricKey' }, ...more });
  const id = (n) => entry(n).registrationId;
  const run = (mode, enrollments) => bulk({ mode, enrollments });
  const errors = async (mode, enrollments) => {
    const result = await run(mode, enrollments);
    assert.equal(result.isSuccessful, result.errors.length === 0);
    return result.errors.map((e) => [e.registrationId, e.errorCode]);
  };
  assert.deepEqual(await run('create', [entry(1), entry(2)]), { isSuccessful: true, errors: [] });
  const made = await body(client.getIndividualEnrollmentAttestationMechanism(id(1)));
  assert.deepEqual(await errors('create', [entry(1), entry(3), { registrationId: 'no-attestation' }]), [[id(1), 409201], ['no-attestation', 400004]]);

  const { etag } = await body(client.getIndividualEnrollment(id(1)));
  assert.deepEqual(await errors('updateIfMatchETag', [entry(1, { etag }), entry(2, { etag })]), [[id(2), 412201]]);
  assert.deepEqual(await errors('update', [entry(1, { etag, provisioningStatus: 'disabled' }), entry(9)]), [[id(9), 404201]]);
  assert.equal((await body(client.getIndividualEnrollment(id(1)))).provisioningStatus, 'disabled');
  assert.deepEqual(await body(client.getIndividualEnrollmentAttestationMechanism(id(1))), made, 'a masked update changed the keys');

  assert.deepEqual(await errors('delete', [entry(1), entry(1), entry(2), entry(9)]), [[id(1), 400004], [id(9), 404201]]);
  assert.deepEqual(await errors('delete', [{ registrationId: id(3) }]), []);
  await rejects(run('create', Array.from({ length: 11 }, (_, n) => entry(`many-${n}`))), 'ArgumentError');
  await rejects(run('create', []), 'ArgumentError');
});

for (const kind of [
  {
    type: 'Enrollment', id: 'registrationId',
    query: (size) => client.createIndividualEnrollmentQuery({ query: 'SELECT * FROM enrollments' }, size),
    make: (id) => client.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: { type: 'symmetricKey' } }),
    remove: (id) => client.deleteIndividualEnrollment(id),
  },
  {
    type: 'EnrollmentGroup', id: 'enrollmentGroupId',
    query: (size) => client.createEnrollmentGroupQuery({ query: '' }, size),
    make: (id) => client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: id, attestation: { type: 'symmetricKey' } }),
    remove: (id) => client.deleteEnrollmentGroup(id),
  },
]) {
  test(`query of type ${kind.type}`, async () => {
    const ids = [1, 2, 3, 4, 5, 6, 7].map((n) => `list-${n}-${unique}`);
    for (const id of ids) await kind.make(id);
    for (const byCallback of [false, true]) {
      const read = await pages(kind.query(3), { byCallback });
      const found = read.flatMap((p) => p.responseBody.map((e) => e[kind.id]));
      assert.deepEqual(found.filter((id) => ids.includes(id)), ids);
      assert.ok(read.length >= 3, `${read.length} pages`);
      assert.ok(read.every((p) => p.httpResponse.headers['x-ms-item-type'] === kind.type));
    }
    const listed = (await body(kind.query().next())).find((e) => e[kind.id] === ids[0]);
    assert.deepEqual(listed.attestation, { type: 'symmetricKey' }, 'a list shows keys');
    if (kind.type === 'Enrollment') assert.equal(listed.registrationState.status, 'unassigned');
    await rejects(kind.query(3).next('Mw=='), 'ArgumentError');
    for (const id of ids) await kind.remove(id);
  });
}

test('registration records: of a device and of a group, read and deleted', async () => {
  const ready = JSON.parse(readFileSync(process.env.DPS_READY, 'utf8'));
  const group = `line:records-${unique}`; // the client percent-encodes the colon
  const made = await body(client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: group, attestation: { type: 'symmetricKey' } }));
  const register = (id) => {
    const key = createHmac('sha256', Buffer.from(made.attestation.symmetricKey.primaryKey, 'base64')).update(id, 'utf8').digest('base64');
    return provisioningDevice.ProvisioningDeviceClient.create(
      ready.deviceHost, ready.idScope, new provisioningHttp.Http(), new securityKey.SymmetricKeySecurityClient(id, key),
    ).register();
  };
  const records = (size) => client.createEnrollmentGroupDeviceRegistrationStateQuery({ query: 'SELECT * FROM registrations' }, group, size);
  const listed = async (options) => (await pages(records(2), options)).flatMap((p) => p.responseBody);
  assert.deepEqual(await listed(), []);

  const ids = ['a', 'B', 'c'].map((n) => `rec-${n}-${unique}`);
  const told = [];
  for (const id of ids) told.push(await register(id));
  for (const byCallback of [false, true]) {
    assert.deepEqual((await listed({ byCallback })).map((r) => r.registrationId), ids);
  }
  assert.equal((await records(2).next()).httpResponse.headers['x-ms-item-type'], 'DeviceRegistration');

  const state = await body(client.getDeviceRegistrationState(ids[0].toUpperCase()));
  assert.equal(state.registrationId, ids[0]);
  assert.equal(state.status, 'assigned');
  assert.equal(state.substatus, 'initialAssignment');
  assert.equal(state.assignedHub, told[0].assignedHub);
  assert.equal(state.deviceId, told[0].deviceId);
  assert.match(state.createdDateTimeUtc, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/);

  await rejects(client.deleteDeviceRegistrationState({ ...state, etag: '"stale"' }), 'InvalidEtagError');
  await client.deleteDeviceRegistrationState(state);
  await client.deleteDeviceRegistrationState(ids[1]);
  const gone = await rejects(client.getDeviceRegistrationState(ids[0]), 'Error');
  assert.equal(JSON.parse(gone.responseBody).errorCode, 404203);
  assert.equal((await register(ids[0])).substatus, 'initialAssignment', 'forgotten, a device registers for the first time');

  await client.deleteEnrollmentGroup(group);
  assert.deepEqual((await listed()).map((r) => r.registrationId), [ids[0], ids[2]], 'records outlive their group');
  for (const id of [ids[0], ids[2]]) await client.deleteDeviceRegistrationState(id, '*');
  assert.deepEqual(await listed(), []);
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
