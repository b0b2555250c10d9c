// What the public Node.js device SDK shows when a device is refused or must wait. The
// runner's document says what is expected; here it is printed.
//
// DPS_TROUBLE_SCOPE, DPS_TROUBLE_KEY   an ID scope with the enrollments "known" and "disabled"
//                                      and the group "waiting", all of this key
// DPS_TROUBLE_HUB                      where the moods of its hub are set
import assert from 'node:assert/strict';
import test from 'node:test';
import { derive, newKey, refusal, register, row, shown, transports, withCert, withKey } from './device.mjs';

const { DPS_TROUBLE_SCOPE: scope, DPS_TROUBLE_KEY: key, DPS_TROUBLE_HUB: control } = process.env;

const hub = async (mood) => assert.equal((await fetch(`${control}/${mood}`, { method: 'POST' })).status, 200);
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

const refused = {
  'refused: unknown device': () => withKey('nobody', newKey()),
  'refused: bad signature': () => withKey('known', newKey()),
  'refused: disabled': () => withKey('disabled', key),
  'refused: certificate not enrolled': (name) => withCert(`ind-${name}`, `ind-${name}.pem`, `ind-${name}.key`),
};

for (const transport of Object.keys(transports)) {
  for (const [what, security] of Object.entries(refused)) {
    row(transport, what, () => refusal(register(transport, security(transport.toLowerCase()), { scope })));
  }
}

// All transports wait for the same hub at once: it is down, or throttles, and recovers.
for (const [what, mood] of [['hub down for 3 s', 'down'], ['hub throttles for 3 s', 'throttling']]) {
  test(what, async () => {
    await hub(mood);
    let recovered = false;
    const waiting = Object.keys(transports).map((transport) => shown(transport, what, async () => {
      const id = `node-${mood}-${transport.toLowerCase()}`;
      const result = await register(transport, withKey(id, derive(key, id)), { scope });
      assert.equal(result.status, 'assigned');
      assert.ok(recovered, 'assigned before the hub was back');
      return 'polls until assigned';
    }));
    await pause(3000);
    recovered = true;
    await hub('up');
    await Promise.all(waiting);
  });
}
