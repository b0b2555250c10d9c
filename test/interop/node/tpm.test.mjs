// First boot with a TPM, by the public Node.js SDKs, unmodified, over the transports that
// have it; then the same device at its hub, where it signs with the key that its TPM was
// given. One emulated TPM serves all, under its registration IDs.
//
// DPS_TPM   host:port of a TPM simulator
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { after } from 'node:test';
import iotDevice from 'azure-iot-device';
import deviceMqtt from 'azure-iot-device-mqtt';
import provisioning from 'azure-iot-provisioning-service';
import iothub from 'azure-iothub';
import security from 'azure-iot-security-tpm';
import tss from 'tss.js';
import { newKey, ready, refusal, register, row, withKey } from './device.mjs';

const [host, port] = process.env.DPS_TPM.split(':');
const service = provisioning.ProvisioningServiceClient.fromConnectionString(ready.serviceConnectionString);
const withTPM = (id) => new security.TpmSecurityClient(id, new tss.Tpm(true, host, Number(port)));
const unique = randomBytes(3).toString('hex');

// The SDK keeps its connections to the TPM, which would hold the process.
after(() => setTimeout(() => process.exit(), 500));

const endorsementKeyOf = (device) => new Promise((resolve, reject) => {
  device.getEndorsementKey((error, key) => (error ? reject(error) : resolve(key)));
});

async function enroll(id, endorsementKey, more = {}) {
  await service.createOrUpdateIndividualEnrollment({
    registrationId: id, attestation: { type: 'tpm', tpm: { endorsementKey: endorsementKey.toString('base64') } }, ...more,
  });
}

// The SDK resolves with the whole operation here, unlike with other attestations.
function assertAssigned({ status, registrationState }, id) {
  assert.equal(status, 'assigned');
  assert.equal(registrationState.registrationId, id);
  assert.equal(registrationState.deviceId, id);
  assert.ok(ready.hubs.some((hub) => hub.hostName === registrationState.assignedHub), `assigned to ${registrationState.assignedHub}`);
}

for (const transport of ['HTTPS', 'AMQP', 'AMQP-WS']) {
  const name = transport.toLowerCase();

  row(transport, 'TPM, individual', async () => {
    const [id, device] = [`tpm-${name}-${unique}`, withTPM(`tpm-${name}-${unique}`)];
    await enroll(id, await endorsementKeyOf(device));
    assertAssigned(await register(transport, device), id);
    assertAssigned(await register(transport, withTPM(id)), id); // the next boot
  });

  row(transport, 'refused: unknown TPM', () => refusal(register(transport, withTPM(`tpm-nobody-${unique}`))));

  row(transport, 'refused: another TPM than enrolled', async () => {
    const [id, device] = [`tpm-other-${name}-${unique}`, withTPM(`tpm-other-${name}-${unique}`)];
    const key = Buffer.from(await endorsementKeyOf(device));
    key[200] ^= 1;
    await enroll(id, key);
    return refusal(register(transport, device));
  });

  row(transport, 'refused: TPM disabled', async () => {
    const [id, device] = [`tpm-off-${name}-${unique}`, withTPM(`tpm-off-${name}-${unique}`)];
    await enroll(id, await endorsementKeyOf(device), { provisioningStatus: 'disabled' });
    return refusal(register(transport, device));
  });
}

for (const [name, Transport] of [['MQTT', deviceMqtt.Mqtt], ['MQTT-WS', deviceMqtt.MqttWs]]) {
  test(`hub over ${name}`, async () => {
    const began = performance.now();
    const id = `tpm-hub-${name.toLowerCase()}-${unique}`;
    const device = withTPM(id);
    await enroll(id, await endorsementKeyOf(device), { initialTwin: { tags: { line: 3 }, properties: { desired: { colour: 'green' } } } });
    const { registrationState } = await register('HTTPS', device);
    const hub = ready.hubs.find((one) => one.hostName === registrationState.assignedHub);
    const provider = security.TpmAuthenticationProvider.fromTpmSecurityClient(registrationState.deviceId, hub.hostName, device);
    const client = iotDevice.Client.fromAuthenticationProvider(provider, Transport);
    await client.open();
    try {
      const twin = await client.getTwin();
      assert.equal(twin.properties.desired.colour, 'green');
      await client.sendEvent(new iotDevice.Message('{"temperature":21.5}'));
      const held = (await iothub.Registry.fromConnectionString(hub.connectionString).getTwin(id)).responseBody;
      assert.equal(held.connectionState, 'Connected');
      assert.equal(held.tags.line, 3);
    } finally {
      await client.close();
      provider.stop();
    }
    const text = `HostName=${hub.hostName};DeviceId=${id};SharedAccessKey=${newKey()}`;
    await assert.rejects(iotDevice.Client.fromConnectionString(text, Transport).open(), { name: 'UnauthorizedError' });
    console.log(`interop | Node.js hub device | ${name} | TPM, individual | ok, ${Math.round(performance.now() - began)} ms`);
  });
}

// A key in place of the TPM proves nothing.
row('HTTPS', 'refused: key for a TPM device', async () => {
  const [id, device] = [`tpm-key-${unique}`, withTPM(`tpm-key-${unique}`)];
  await enroll(id, await endorsementKeyOf(device));
  return refusal(register('HTTPS', withKey(id, newKey())));
});
