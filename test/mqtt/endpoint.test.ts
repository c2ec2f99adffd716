import { afterEach, describe, expect, it } from 'vitest';
import { createMqttClient } from '../../src/mqtt/client.ts';
import { endpointClockSkewMs } from '../../src/mqtt/endpoint.ts';
import { optionsFor, startTestSandbox, startWire, withClient, type Wire } from './clients.ts';

describe('an endpoint', () => {
  it.each([
    ['onsmqtt.cn-hangzhou.aliyuncs.com', 'is no URL'],
    ['', 'is no URL'],
    ['ftp://h', 'begins with ftp://'],
    ['https://h/path', 'goes on after the host'],
    ['https://h/?AccessKeyId=LTAIx&Signature=s', 'goes on after the host'],
    ['https://user:pass@h', 'names a user'],
  ])('%j is refused as the client is made', (endpoint, why) => {
    const make = (): unknown => createMqttClient(optionsFor(endpoint));
    expect(make).toThrow(new RegExp(`^endpoint "[^"]*" ${why}, write it as https://onsmqtt`));
    expect(make).not.toThrow(/LTAIx|pass/);
  });

  it('may end with a slash', async () => {
    const sandbox = await startTestSandbox();
    const answer = await withClient(optionsFor(`${sandbox.url}/`), (client) => client.readInstance('post-cn-own'));
    expect(answer).toMatchObject({ kind: 'accepted' });
    await sandbox.close();
  });
});

describe("the endpoint's clock", () => {
  const HOUR_MS = 3_600_000;
  let wire: Wire;
  afterEach(() => wire.close());

  it.each([0, HOUR_MS, -HOUR_MS])('may be %i ms from ours', async (aheadMs) => {
    let asked: unknown;
    wire = await startWire((request, response) => {
      asked = [request.method, request.url];
      response.writeHead(400, { date: new Date(Date.now() - aheadMs).toUTCString() });
      response.end('{}');
    });
    const skew = await endpointClockSkewMs(wire.url, { deadlineMs: 20_000, localAddress: '127.0.0.1' });
    if (!skew.ok) throw new Error(skew.message);
    expect(Math.abs(skew.skewMs - aheadMs)).toBeLessThanOrEqual(skew.uncertaintyMs);
    expect(asked).toEqual(['GET', '/']);
  });

  it('may not be told: no header, no answer, no connection', async () => {
    const heard: string[] = [];
    const ask = async (endpoint: string, deadlineMs: number): Promise<void> => {
      const skew = await endpointClockSkewMs(endpoint, { deadlineMs });
      heard.push(skew.ok ? 'told' : skew.message);
    };
    wire = await startWire((_, response) => {
      response.sendDate = false;
      response.end();
    });
    await ask(wire.url, 20_000);
    wire.server.removeAllListeners('request');
    await ask(wire.url, 50);
    await ask('http://127.0.0.1:1', 20_000);
    expect(heard).toEqual([
      `${wire.url} answered without a Date header`,
      `${wire.url} did not answer within 50 ms`,
      'http://127.0.0.1:1 could not be asked for its time: connect ECONNREFUSED 127.0.0.1:1',
    ]);
  });
});
