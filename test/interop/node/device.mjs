// What the device tests share: the deployment, its enrollments, a device of the public
// Node.js SDK over each transport, and the rows that are printed.
//
// DPS_READY             the ready file of dps dev
// DPS_CERTS             a folder of device certificates made by the runner
// NODE_EXTRA_CA_CERTS   the development CA
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import provisioningDevice from 'azure-iot-provisioning-device';
import provisioningAmqp from 'azure-iot-provisioning-device-amqp';
import provisioningHttp from 'azure-iot-provisioning-device-http';
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt';
import securityKey from 'azure-iot-security-symmetric-key';
import securityX509 from 'azure-iot-security-x509';

export const ready = JSON.parse(readFileSync(process.env.DPS_READY, 'utf8'));
export const file = (name) => readFileSync(`${process.env.DPS_CERTS}/${name}`, 'utf8');
export const newKey = () => randomBytes(32).toString('base64');
export const derive = (groupKey, id) => createHmac('sha256', Buffer.from(groupKey, 'base64')).update(id, 'utf8').digest('base64');
export const withKey = (id, key) => new securityKey.SymmetricKeySecurityClient(id, key);
export const withCert = (id, chain, key) => new securityX509.X509Security(id, { cert: file(chain), key: file(key) });

export const transports = {
  HTTPS: provisioningHttp.Http,
  MQTT: provisioningMqtt.Mqtt,
  'MQTT-WS': provisioningMqtt.MqttWs,
  AMQP: provisioningAmqp.Amqp,
  'AMQP-WS': provisioningAmqp.AmqpWs,
};

/** Registers a device and returns the SDK's result. */
export function register(transport, security, { scope = ready.idScope, payload } = {}) {
  const client = provisioningDevice.ProvisioningDeviceClient.create(ready.deviceHost, scope, new transports[transport](), security);
  if (payload) client.setProvisioningPayload(payload);
  return client.register();
}

/** Does something and prints its row; f may return what the SDK shows. */
export async function shown(transport, what, f) {
  const began = performance.now();
  const outcome = (await f()) ?? 'ok';
  console.log(`interop | Node.js | ${transport} | ${what} | ${outcome}, ${Math.round(performance.now() - began)} ms`);
}

/** A test that prints its row. */
export const row = (transport, what, f) => test(`${transport}: ${what}`, () => shown(transport, what, f));

/** Says in one line what the SDK makes of a refusal, without tracking IDs and the like. */
export async function refusal(registering) {
  let error;
  try {
    await registering;
  } catch (e) {
    error = e;
  }
  if (!error) throw new Error('the device was not refused');
  // Over AMQP the SDK may hand on the AMQP error as it came.
  if (error.condition) return `AMQP error ${error.condition}, errorCode ${JSON.parse(error.description).errorCode}`;
  if (!error.message) return `${error.name ?? JSON.stringify(error)} without a reason`;
  const code = error.result?.errorCode ?? error.message.match(/"errorCode":(\d+)/)?.[1];
  const text = error.message.replace(/^Error: |\{.*\}|\(.*\)/gs, '').trim();
  return `${error.name}${text ? `: ${text}` : ''}${code ? `, errorCode ${code}` : ''}`;
}
