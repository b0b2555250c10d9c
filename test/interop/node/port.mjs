// Loaded before a test file when the server is not on 443: the SDKs have no setting for
// the port, but they use the process-wide agent.
import https from 'node:https';

const port = Number(process.env.DPS_HTTPS_PORT ?? 443);
if (port !== 443) {
  https.globalAgent.options.port = port;
  https.globalAgent.defaultPort = port;
}
