// A device: it asks where to go, goes there, reads its twin, and says that it is here.
//
//   node device.mjs ID --key KEY | --cert FILE --cert-key FILE
//                   [--transport mqtt|mqtt-ws|amqp|amqp-ws|http] [--payload JSON] [--no-hub]
//
// DPS_READY_FILE        the ready file of dps dev; default ../../.dps/ready.json
// NODE_EXTRA_CA_CERTS   the CA that it trusts, ../../.dps/ca.pem
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import iotDevice from 'azure-iot-device';
import deviceMqtt from 'azure-iot-device-mqtt';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningAmqp from 'azure-iot-provisioning-device-amqp';
import provisioningHttp from 'azure-iot-provisioning-device-http';
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt';
import securityKey from 'azure-iot-security-symmetric-key';
import securityX509 from 'azure-iot-security-x509';

const { values: flag, positionals: [id] } = parseArgs({
  allowPositionals: true,
  options: {
    key: { type: 'string' }, cert: { type: 'string' }, 'cert-key': { type: 'string' },
    transport: { type: 'string', default: 'mqtt' }, payload: { type: 'string' }, 'no-hub': { type: 'boolean', default: false },
  },
});
const ready = JSON.parse(readFileSync(process.env.DPS_READY_FILE ?? new URL('../../.dps/ready.json', import.meta.url), 'utf8'));
const certificate = flag.cert && { cert: readFileSync(flag.cert, 'utf8'), key: readFileSync(flag['cert-key'], 'utf8') };
const security = certificate ? new securityX509.X509Security(id, certificate) : new securityKey.SymmetricKeySecurityClient(id, flag.key);
const Transport = {
  mqtt: provisioningMqtt.Mqtt, 'mqtt-ws': provisioningMqtt.MqttWs,
  amqp: provisioningAmqp.Amqp, 'amqp-ws': provisioningAmqp.AmqpWs, http: provisioningHttp.Http,
}[flag.transport];

async function provision() {
  const client = provisioningDevice.ProvisioningDeviceClient.create(ready.deviceHost, ready.idScope, new Transport(), security);
  if (flag.payload) client.setProvisioningPayload(JSON.parse(flag.payload));
  const result = await client.register();
  console.log(`assigned to ${result.assignedHub} as ${result.deviceId} (${result.substatus})`);
  if (result.payload !== undefined) console.log(`told ${JSON.stringify(result.payload)}`);
  return result;
}

async function connect(result) {
  const credential = certificate ? 'x509=true' : `SharedAccessKey=${flag.key}`;
  const client = iotDevice.Client.fromConnectionString(`HostName=${result.assignedHub};DeviceId=${result.deviceId};${credential}`, deviceMqtt.Mqtt);
  if (certificate) await client.setOptions(certificate);
  await client.open();
  const twin = await client.getTwin();
  const { $version: _, ...desired } = twin.properties.desired;
  console.log(`desired ${JSON.stringify(desired, (_key, value) => (typeof value === 'function' ? undefined : value))}`);
  await client.sendEvent(new iotDevice.Message(JSON.stringify({ hello: id })));
  await client.close();
}

try {
  const result = await provision();
  if (!flag['no-hub']) await connect(result);
} catch (error) {
  const told = error.result?.registrationState ?? {};
  console.log(`refused: ${[told.status, told.errorCode, told.errorMessage].filter(Boolean).join(' ') || `${error.name} ${error.message}`}`);
  process.exitCode = 1;
}
