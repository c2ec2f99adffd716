import { createMqttClient } from '../../src/mqtt/client.ts';
import { credentialsFromChain } from '../../src/mqtt/credentials.ts';
import { endpointClockSkewMs } from '../../src/mqtt/endpoint.ts';

/*
 * A process of its own for the tests: what a process trusts and prints is decided by its environment as it starts. Calls the endpoint in
 * its first argument with the official chain's key and writes the answers as one line of JSON.
 */
const [, , endpoint = '', instanceId = ''] = process.argv;
const options = { endpoint, credentials: credentialsFromChain(), callDeadlineMs: 10_000, maxConnections: 4 };
const client = createMqttClient(options);
const certificate = { instanceId, caSn: '01', deviceSn: '02' };
const answers = [
  await client.readInstance(instanceId),
  await client.readInstance(instanceId),
  await client.deleteDeviceCertificate(certificate),
  await client.deleteDeviceCertificate(certificate),
];
client.close();
const skew = await endpointClockSkewMs(endpoint, { deadlineMs: 10_000 });
process.stdout.write(`${JSON.stringify({ answers, skew, debug: process.env['DEBUG'] })}\n`);
