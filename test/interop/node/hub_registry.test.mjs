// The unmodified azure-iothub Registry against the embedded hub.
//
// DPS_HUB_CONNECTION_STRING  of a policy with all rights; the hub is used as it is
// DPS_HUB_PORT               when the hub does not listen on 443
// NODE_EXTRA_CA_CERTS        the authority of the hub's certificate

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import https from 'node:https';
import test from 'node:test';
import iothub from 'azure-iothub';

const connectionString = process.env.DPS_HUB_CONNECTION_STRING;
assert.ok(connectionString, 'DPS_HUB_CONNECTION_STRING is not set');
const port = Number(process.env.DPS_HUB_PORT ?? 443);
const run = randomBytes(4).toString('hex'); // keeps runs on one hub apart
const name = (id) => `${run}-${id}`;
const key = (text) => Buffer.from(text.padEnd(32, '.')).toString('base64');
const thumbprint = (digit) => digit.repeat(40);

const registry = iothub.Registry.fromConnectionString(connectionString);
if (port !== 443) {
  // The client has no setting for the port.
  registry._restApiClient.setOptions({ http: { agent: new https.Agent({ port, keepAlive: true }) } });
}

/** Plain REST, for what the client never sends. */
function rest(method, path, headers = {}, body = undefined) {
  const parts = Object.fromEntries(connectionString.split(';').map((p) => [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)]));
  const se = Math.floor(Date.now() / 1000) + 600;
  const sr = encodeURIComponent(parts.HostName);
  const sig = createHmac('sha256', Buffer.from(parts.SharedAccessKey, 'base64')).update(`${sr}\n${se}`).digest('base64');
  const authorization = `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=${parts.SharedAccessKeyName}`;
  return new Promise((resolve, reject) => {
    const request = https.request(
      { host: parts.HostName, port, method, path: `${path}?api-version=2021-04-12`, headers: { authorization, ...headers } },
      (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text ? JSON.parse(text) : undefined }));
      });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function refused(promise, errorName, text) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, errorName, error.stack);
    if (text) assert.match(error.message, text);
    return true;
  });
}

test('create makes keys, get returns them', async () => {
  const { responseBody: made } = await registry.create({ deviceId: name('d1') });
  assert.equal(made.deviceId, name('d1'));
  assert.equal(made.status, 'enabled');
  assert.equal(made.authentication.type, 'sas');
  for (const generated of Object.values(made.authentication.symmetricKey)) {
    assert.equal(Buffer.from(generated, 'base64').length, 32);
  }
  assert.ok(made.etag && made.generationId);
  const { responseBody: got } = await registry.get(name('d1'));
  assert.deepEqual(got.authentication, made.authentication);
  assert.equal(got.etag, made.etag);
  await refused(registry.create({ deviceId: name('d1') }), 'DeviceAlreadyExistsError', /registered already/);
});

test('update writes the whole device', async () => {
  const { responseBody: made } = await registry.create({ deviceId: name('update') });
  const { responseBody: changed } = await registry.update({ ...made, status: 'disabled', statusReason: 'stolen' });
  assert.equal(changed.status, 'disabled');
  assert.equal(changed.statusReason, 'stolen');
  assert.equal(changed.generationId, made.generationId);
  assert.notEqual(changed.etag, made.etag);
  assert.deepEqual(changed.authentication.symmetricKey, made.authentication.symmetricKey);
  await refused(registry.update({ deviceId: name('nobody') }), 'DeviceNotFoundError', /not registered/);
});

test('credentials of each type', async () => {
  const symmetricKey = { primaryKey: key('one'), secondaryKey: key('two') };
  const sas = await registry.create({ deviceId: name('sas'), authentication: { symmetricKey } });
  assert.deepEqual(sas.responseBody.authentication.symmetricKey, symmetricKey);
  const x509Thumbprint = { primaryThumbprint: thumbprint('A'), secondaryThumbprint: thumbprint('b') };
  const self = await registry.create({ deviceId: name('self'), authentication: { x509Thumbprint } });
  assert.equal(self.responseBody.authentication.type, 'selfSigned');
  assert.deepEqual(self.responseBody.authentication.x509Thumbprint, x509Thumbprint);
  const ca = await registry.create({ deviceId: name('ca'), authentication: { type: 'certificateAuthority' } });
  assert.equal(ca.responseBody.authentication.type, 'certificateAuthority');
  await refused(registry.create({ deviceId: name('bad'), authentication: { symmetricKey: { primaryKey: 'no', secondaryKey: 'no' } } }), 'ArgumentError');
  await refused(registry.create({ deviceId: name('bad'), authentication: { x509Thumbprint: { primaryThumbprint: 'no' } } }), 'ArgumentError');
});

test('delete', async () => {
  await registry.create({ deviceId: name('gone') });
  const { httpResponse } = await registry.delete(name('gone'));
  assert.equal(httpResponse.statusCode, 204);
  await refused(registry.get(name('gone')), 'DeviceNotFoundError');
  await refused(registry.delete(name('gone')), 'DeviceNotFoundError');
});

test('list', async () => {
  await registry.create({ deviceId: name('listed') });
  const { responseBody: devices } = await registry.list();
  assert.ok(devices.length <= 1000);
  assert.ok(devices.every((d) => d.deviceId && d.etag));
});

test('device IDs of every kind', async () => {
  for (const id of ["a:b", 'a%b', 'a%2Fb', 'a#b', "a'b", 'a?b', 'a+b', 'a=b@c$d', 'x,(y)!*.z_', 'Case', 'case']) {
    const { responseBody: made } = await registry.create({ deviceId: name(id) });
    assert.equal(made.deviceId, name(id));
    assert.equal((await registry.get(name(id))).responseBody.generationId, made.generationId);
    assert.equal((await registry.getTwin(name(id))).responseBody.deviceId, name(id));
    await registry.delete(name(id));
  }
  for (const id of ['d2 x/y', 'p:1 é/%']) {
    await refused(registry.create({ deviceId: name(id) }), 'ArgumentError');
    await refused(registry.get(name(id)), 'DeviceNotFoundError');
  }
});

test('If-Match: none, star in quotes, plain star, good, stale', async () => {
  const id = name('match');
  const path = `/devices/${id}`;
  const put = (headers) => rest('PUT', path, headers, { deviceId: id });
  assert.equal((await put({ 'if-match': '"*"' })).status, 404);
  const made = await put({});
  assert.equal(made.status, 200);
  assert.equal((await put({})).status, 409);
  const starred = await put({ 'if-match': '"*"' });
  assert.equal(starred.status, 200);
  assert.equal((await put({ 'if-match': '*' })).status, 200);
  const stale = await put({ 'if-match': `"${made.body.etag}"` });
  assert.equal(stale.status, 412);
  assert.equal(stale.headers['iothub-errorcode'], 'PreconditionFailed');
  assert.match(stale.body.Message, /^ErrorCode:PreconditionFailed;/);
  const now = (await rest('GET', path)).body.etag;
  assert.equal((await rest('DELETE', path, { 'if-match': `"${made.body.etag}"` })).status, 412);
  assert.equal((await rest('DELETE', path, { 'if-match': `"${now}"` })).status, 204);
});

test('bulk: 1, 100 and 101 items', async () => {
  const devices = Array.from({ length: 100 }, (_, i) => ({ deviceId: name(`bulk-${i}`) }));
  const { responseBody: one } = await registry.addDevices([{ deviceId: name('b1') }]);
  assert.deepEqual(one, { isSuccessful: true, errors: [], warnings: [] });
  const { responseBody: hundred } = await registry.addDevices(devices);
  assert.equal(hundred.isSuccessful, true);
  await assert.rejects(registry.addDevices([...devices, { deviceId: name('bulk-100') }]), /invalid size of 101/);
  const tooMany = await rest('POST', '/devices', {}, Array.from({ length: 101 }, (_, i) => ({ id: name(`x${i}`), importMode: 'create' })));
  assert.equal(tooMany.status, 400);
  const { responseBody: again } = await registry.addDevices([devices[0], { deviceId: name('b2') }]);
  assert.equal(again.isSuccessful, false);
  assert.deepEqual(again.errors.map((e) => [e.deviceId, e.errorCode]), [[devices[0].deviceId, 409001]]);
  assert.ok((await registry.get(name('b2'))).responseBody.etag);
  const { responseBody: removed } = await registry.removeDevices(devices, true);
  assert.equal(removed.isSuccessful, true);
});

test('bulk: update and remove, forced and by etag', async () => {
  await registry.addDevices([{ deviceId: name('u1') }, { deviceId: name('u2') }]);
  const { responseBody: before } = await registry.get(name('u1'));
  await registry.updateDevices([{ deviceId: name('u1'), status: 'disabled' }], true);
  const { responseBody: after } = await registry.get(name('u1'));
  assert.equal(after.status, 'disabled');
  assert.deepEqual(after.authentication, before.authentication, 'empty keys keep the stored ones');
  const stale = await registry.removeDevices([{ deviceId: name('u1'), etag: before.etag }], false);
  assert.equal(stale.responseBody.errors[0].errorCode, 412001);
  const good = await registry.removeDevices([{ deviceId: name('u1'), etag: after.etag }], false);
  assert.equal(good.responseBody.isSuccessful, true);
  const { responseBody: u2 } = await registry.get(name('u2'));
  const matched = await registry.updateDevices([{ deviceId: name('u2'), etag: u2.etag, status: 'disabled' }], false);
  assert.equal(matched.responseBody.isSuccessful, true);
});

test('bulk: device and twin in one step', async () => {
  const { responseBody } = await registry.addDevices([
    { deviceId: name('twinned'), tags: { site: 'bern' }, properties: { desired: { rate: 5 } }, capabilities: { iotEdge: true } },
  ]);
  assert.equal(responseBody.isSuccessful, true);
  const { responseBody: twin } = await registry.getTwin(name('twinned'));
  assert.deepEqual(twin.tags, { site: 'bern' });
  assert.equal(twin.properties.desired.rate, 5);
  assert.equal((await registry.get(name('twinned'))).responseBody.capabilities.iotEdge, true);
});

test('twin: get, patch, null deletes, versions, etags', async () => {
  await registry.create({ deviceId: name('twin') });
  const { responseBody: twin } = await registry.getTwin(name('twin'));
  assert.equal(twin.constructor.name, 'Twin');
  assert.equal(twin.properties.desired.$version, 1);
  assert.equal(twin.properties.reported.$version, 1);
  const first = twin.etag;
  await twin.update({ tags: { a: 1, b: { c: 2, d: 3 } }, properties: { desired: { x: 1, y: 2 } } });
  const { responseBody: patched } = await registry.getTwin(name('twin'));
  assert.deepEqual(patched.tags, { a: 1, b: { c: 2, d: 3 } });
  assert.equal(patched.properties.desired.$version, 2);
  assert.ok(patched.properties.desired.$metadata.x.$lastUpdated);
  const { responseBody: merged } = await registry.updateTwin(name('twin'), { tags: { a: null, b: { d: null } }, properties: { desired: { x: null } } }, '*');
  assert.deepEqual(merged.tags, { b: { c: 2 } });
  assert.equal(merged.properties.desired.x, undefined);
  assert.equal(merged.properties.desired.y, 2);
  await refused(registry.updateTwin(name('twin'), { tags: { z: 1 } }, first), 'InvalidEtagError');
  await refused(registry.updateTwin(name('twin'), { tags: { 'a.b': 1 } }, '*'), 'ArgumentError');
  await refused(registry.updateTwin(name('twin'), { tags: { big: Array(3).fill('x'.repeat(4000)) } }, '*'), 'ArgumentError', /8 KB/);
  await refused(registry.getTwin(name('nobody')), 'DeviceNotFoundError');
});

test('query: two pages of twins', async () => {
  await registry.addDevices(Array.from({ length: 3 }, (_, i) => ({ deviceId: name(`q${i}`), tags: { run } })));
  const query = registry.createQuery(`SELECT * FROM devices WHERE tags.run = '${run}'`, 2);
  const pages = [];
  while (query.hasMoreResults) {
    const { result } = await query.nextAsTwin();
    assert.ok(result.every((t) => t.constructor.name === 'Twin'));
    pages.push(result.map((t) => t.deviceId));
  }
  assert.deepEqual(pages, [[name('q0'), name('q1')], [name('q2')]]);
  const all = registry.createQuery('select * from devices');
  assert.ok((await all.nextAsTwin()).result.length > 0);
  const byId = registry.createQuery(`SELECT * FROM devices WHERE deviceId = '${name('q1')}' AND status = 'enabled'`);
  assert.deepEqual((await byId.nextAsTwin()).result.map((t) => t.deviceId), [name('q1')]);
  await refused(registry.createQuery('SELECT COUNT() FROM devices').nextAsTwin(), 'ArgumentError', /SELECT \* FROM devices/);
});

test('statistics', async () => {
  const { responseBody: counts } = await registry.getRegistryStatistics();
  assert.equal(counts.totalDeviceCount, counts.enabledDeviceCount + counts.disabledDeviceCount);
  assert.ok(counts.totalDeviceCount > 0);
});

test('a wrong key is refused', async () => {
  const wrong = connectionString.replace(/SharedAccessKey=.*/, `SharedAccessKey=${key('wrong')}`);
  const other = iothub.Registry.fromConnectionString(wrong);
  if (port !== 443) other._restApiClient.setOptions({ http: { agent: new https.Agent({ port, keepAlive: true }) } });
  await refused(other.get(name('d1')), 'UnauthorizedError');
});

test('modules are not served', async () => {
  await registry.create({ deviceId: name('module') });
  await assert.rejects(registry.getModulesOnDevice(name('module')), /no modules/);
});
