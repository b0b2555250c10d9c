// A device whose clock is slow, so that its tokens are expired when it makes them. To be
// run under faketime. Its environment is that of refused.test.mjs.
import { refusal, register, row, transports, withKey } from './device.mjs';

const { DPS_TROUBLE_SCOPE: scope, DPS_TROUBLE_KEY: key } = process.env;

for (const transport of Object.keys(transports)) {
  row(transport, 'refused: expired token', () => refusal(register(transport, withKey('known', key), { scope })));
}
