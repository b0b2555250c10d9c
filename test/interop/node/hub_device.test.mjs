// What comes after provisioning, with the public Node.js SDKs, unmodified: the device
// client connects to the assigned hub over MQTT, on 8883 and over WebSocket on 443, with
// the credential that it was provisioned with. It reads its twin, is told of a desired
// property that the service client writes, reports one, and sends a message, which the
// hub's API shows. Each row is printed.
//
// DPS_READY             the ready file of dps dev
// DPS_CERTS             a folder of device certificates made by the runner
// NODE_EXTRA_CA_CERTS   the development CA
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import iotDevice from 'azure-iot-device';
import deviceMqtt from 'azure-iot-device-mqtt';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt';
import provisioning from 'azure-iot-provisioning-service';
import securityKey from 'azure-iot-security-symmetric-key';
import securityX509 from 'azure-iot-security-x509';
import iothub from 'azure-iothub';

const ready = JSON.parse(readFileSync(process.env.DPS_READY, 'utf8'));
const service = provisioning.ProvisioningServiceClient.fromConnectionString(ready.serviceConnectionString);
const file = (name) => readFileSync(`${process.env.DPS_CERTS}/${name}`, 'utf8');
const newKey = () => randomBytes(32).toString('base64');
const mac = (key, text) => createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64');
const symmetric = (primaryKey) => ({ type: 'symmetricKey', symmetricKey: { primaryKey } });
const initialTwin = { tags: { line: 3 }, properties: { desired: { colour: 'grün 🟢', limit: { high: 20 } } } };

// hubApi asks the hub's own API with the access policy of its connection string.
async function hubApi(hub, path) {
  const policy = Object.fromEntries(hub.connectionString.split(';').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]));
  const resource = encodeURIComponent(policy.HostName);
  const expiry = Math.floor(Date.now() / 1000) + 600;
  const signature = encodeURIComponent(mac(policy.SharedAccessKey, `${resource}\n${expiry}`));
  const answer = await fetch(`https://${hub.hostName}${path}?api-version=2021-04-12`, {
    headers: { authorization: `SharedAccessSignature sr=${resource}&sig=${signature}&se=${expiry}&skn=${policy.SharedAccessKeyName}` },
  });
  assert.equal(answer.status, 200, path);
  return answer.json();
}

// useHub does with the hub what a device and its operator do. credential tells how the
// device proves itself: its connection string's last part, and options.
async function useHub(Transport, result, credential) {
  const hub = ready.hubs.find((one) => one.hostName === result.assignedHub);
  assert.ok(hub, `assigned to ${result.assignedHub}`);
  const registry = iothub.Registry.fromConnectionString(hub.connectionString);
  const text = `HostName=${result.assignedHub};DeviceId=${result.deviceId};${credential.text}`;
  const client = iotDevice.Client.fromConnectionString(text, Transport);
  if (credential.options) await client.setOptions(credential.options);
  await client.open();
  try {
    const twin = await client.getTwin();
    assert.equal(twin.properties.desired.colour, 'grün 🟢', 'the initial twin of the enrollment');
    assert.equal(twin.properties.desired.limit.high, 20);
    const told = new Promise((resolve) => { twin.on('properties.desired.limit', (limit) => { if (limit.high === 25) resolve(limit); }); });
    await client.getTwin(); // answered after the subscription that the listener made
    await registry.updateTwin(result.deviceId, { properties: { desired: { limit: { high: 25, low: 5 }, colour: null } } }, '*');
    assert.deepEqual(await told, { high: 25, low: 5 });
    assert.equal(twin.properties.desired.colour, undefined);
    await new Promise((resolve, reject) => { twin.properties.reported.update({ firmware: '1.2.3', limit: { high: 25 } }, (e) => (e ? reject(e) : resolve())); });
    const seen = (await registry.getTwin(result.deviceId)).responseBody;
    assert.equal(seen.connectionState, 'Connected');
    assert.equal(seen.properties.reported.firmware, '1.2.3');
    assert.equal(seen.tags.line, 3);
    const message = new iotDevice.Message(JSON.stringify({ temperature: 21.5 }));
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.properties.add('level', 'high & dry');
    await client.sendEvent(message);
    const heard = await hubApi(hub, `/telemetry/${result.deviceId}`);
    assert.equal(heard.messageCount, 1);
    assert.equal(heard.lastMessages[0].body, '{"temperature":21.5}');
    assert.equal(heard.lastMessages[0].properties.level, 'high & dry');
    assert.equal(heard.lastMessages[0].properties['$.ct'], 'application/json');
    client.on('message', () => {}); // subscribes to cloud-to-device messages
    client.onDeviceMethod('reboot', () => {});
    await client.getTwin();
  } finally {
    await client.close();
  }
}

for (const [name, ProvisioningTransport, HubTransport] of [
  ['MQTT', provisioningMqtt.Mqtt, deviceMqtt.Mqtt],
  ['MQTT-WS', provisioningMqtt.MqttWs, deviceMqtt.MqttWs],
]) {
  const unique = `${name.toLowerCase()}-${randomBytes(3).toString('hex')}`;
  const row = (attestation, f) => test(`${name}: ${attestation}`, async () => {
    const began = performance.now();
    await f();
    console.log(`interop | Node.js hub device | ${name} | ${attestation} | ok, ${Math.round(performance.now() - began)} ms`);
  });
  const register = (security) => provisioningDevice.ProvisioningDeviceClient.create(ready.deviceHost, ready.idScope, new ProvisioningTransport(), security).register();
  const withKey = async (id, key) => useHub(HubTransport, await register(new securityKey.SymmetricKeySecurityClient(id, key)), { text: `SharedAccessKey=${key}` });
  const withCert = async (id, chain) => {
    const certificate = { cert: file(chain), key: file(`${id}.key`) };
    await useHub(HubTransport, await register(new securityX509.X509Security(id, certificate)), { text: 'x509=true', options: certificate });
  };

  row('symmetric key, individual', async () => {
    const [id, key] = [`hub-ind-${unique}`, newKey()];
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: symmetric(key), initialTwin });
    await withKey(id, key);
  });

  row('symmetric key, group', async () => {
    const [group, id, key] = [`hub-grp-${unique}`, `hub-dev-${unique}`, newKey()];
    await service.createOrUpdateEnrollmentGroup({ enrollmentGroupId: group, attestation: symmetric(key), initialTwin });
    await withKey(id, mac(key, id));
    await service.deleteEnrollmentGroup(group);
  });

  row('X.509, individual', async () => {
    const id = `ind-hub-node-${name.toLowerCase()}`;
    await service.createOrUpdateIndividualEnrollment({
      registrationId: id, initialTwin, attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: file(`${id}.pem`) } } } },
    });
    await withCert(id, `${id}.pem`);
  });

  row('X.509, group', async () => {
    const [group, id] = [`hub-x509-${unique}`, `grp-hub-node-${name.toLowerCase()}`];
    await service.createOrUpdateEnrollmentGroup({
      enrollmentGroupId: group, initialTwin, attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate: file('root.pem') } } } },
    });
    await withCert(id, `${id}.chain.pem`);
    await service.deleteEnrollmentGroup(group);
  });

  row('unknown device, another key', async () => {
    const [id, key] = [`hub-off-${unique}`, newKey()];
    await service.createOrUpdateIndividualEnrollment({ registrationId: id, attestation: symmetric(key) });
    const result = await register(new securityKey.SymmetricKeySecurityClient(id, key));
    for (const deviceId of [id, `${id}-unknown`]) {
      const client = iotDevice.Client.fromConnectionString(`HostName=${result.assignedHub};DeviceId=${deviceId};SharedAccessKey=${newKey()}`, HubTransport);
      await assert.rejects(client.open(), { name: 'UnauthorizedError' });
    }
  });
}
