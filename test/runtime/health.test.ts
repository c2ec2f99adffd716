import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHealthPort, type HealthPort } from '../../src/runtime/health.ts';
import { closed } from '../support/closed.ts';

let asked: number;
let reason: string | undefined;
let port: HealthPort;
const questions = {
  isLive: () => true,
  notReadyBecause: () => {
    asked += 1;
    return Promise.resolve(reason);
  },
  metrics: () => Promise.resolve(''),
};
beforeEach(async () => {
  asked = 0;
  reason = 'Redis is not connected';
  port = await openHealthPort('127.0.0.1', 0, questions);
});
afterEach(() => port.close());

const ask = (path: string, host = '127.0.0.1'): Promise<Response> => fetch(`http://${host}:${port.port}${path}`);

describe('the health port', () => {
  // Every address of 127.0.0.0/8 is this host's on Linux, and on no other system.
  it.skipIf(process.platform !== 'linux')('listens where it is told, and nowhere else', async () => {
    expect((await ask('/livez')).status).toBe(200);
    await expect(ask('/livez', '127.0.0.2')).rejects.toThrow('fetch failed');
    await port.close();
    port = await openHealthPort('0.0.0.0', 0, questions);
    expect((await ask('/livez', '127.0.0.2')).status).toBe(200);
  });

  it('asks about readiness once a second, however many want to know', async () => {
    const startMs = performance.now();
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => ask('/readyz')));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    }
    expect(asked).toBeLessThanOrEqual(1 + (performance.now() - startMs) / 1_000);
    reason = undefined;
    await expect.poll(async () => (await ask('/readyz')).status).toBe(200);
  });

  it('has a bound for connections, and none is held by saying nothing', async () => {
    const sockets: Socket[] = Array.from({ length: 40 }, () => connect(port.port, '127.0.0.1'));
    let open = sockets.length;
    for (const socket of sockets)
      socket
        .resume()
        .on('error', () => undefined)
        .once('close', () => (open -= 1));
    await expect.poll(() => open).toBeLessThanOrEqual(32);
    const [first] = sockets.filter(({ destroyed }) => !destroyed);
    if (first !== undefined) await closed(first);
    await expect.poll(() => open).toBe(0);
    expect((await ask('/livez')).status).toBe(200);
  });
});
