// The operator of the hubs that dps dev has: with the hub's own SDK, as dps is not asked.
//
//   node hub.mjs show ID         in which hubs a device is, with tags and desired properties
//   node hub.mjs set ID JSON     changes its twin, such as {"properties":{"desired":{"rate":5}}}
//   node hub.mjs delete ID       deletes it
//   node hub.mjs count           how many devices each hub has
//
// DPS_READY_FILE        the ready file of dps dev; default ../../.dps/ready.json
// NODE_EXTRA_CA_CERTS   the CA that it trusts, ../../.dps/ca.pem
import { readFileSync } from 'node:fs';
import iothub from 'azure-iothub';

const [command, id, text] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(process.env.DPS_READY_FILE ?? new URL('../../.dps/ready.json', import.meta.url), 'utf8'));
let found = 0;
for (const { hostName, connectionString } of ready.hubs) {
  const registry = iothub.Registry.fromConnectionString(connectionString);
  if (command === 'count') {
    const { totalDeviceCount } = (await registry.getRegistryStatistics()).responseBody;
    console.log(`${hostName} has ${totalDeviceCount}`);
    continue;
  }
  let twin;
  try {
    twin = (await registry.getTwin(id)).responseBody;
  } catch (error) {
    if (error.name === 'DeviceNotFoundError') continue;
    throw error;
  }
  found++;
  if (command === 'set') twin = (await registry.updateTwin(id, JSON.parse(text), '*')).responseBody;
  if (command === 'delete') await registry.delete(id);
  const { $metadata: _m, $version: _v, ...desired } = twin.properties.desired;
  console.log(`${id} in ${hostName}: tags ${JSON.stringify(twin.tags ?? {})} desired ${JSON.stringify(desired)}`);
}
if (command !== 'count' && found === 0) console.log(`${id} is in no hub`);
