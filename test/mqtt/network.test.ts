import { once } from 'node:events';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY, newCertificate, optionsFor, startWire, withClient, type Wire } from './clients.ts';
import { closed } from '../support/closed.ts';

let wire: Wire;
beforeAll(async () => {
  wire = await startWire((_, response) => response.end());
});
afterAll(() => wire.close());

describe('a call that never left', () => {
  it.each([
    ['http://127.0.0.1:1', 'ECONNREFUSED'],
    ['https://127.0.0.1:1', 'ECONNREFUSED'],
    ['http://endpoint.invalid', /^(?:ENOTFOUND|EAI_AGAIN)$/],
  ])('to %s has no effect', async (endpoint, code) => {
    const answer = await withClient(optionsFor(endpoint), (unheard) =>
      unheard.deleteDeviceCertificate(newCertificate()),
    );
    expect(answer).toMatchObject({ kind: 'network', code: expect.stringMatching(code), effect: 'none' });
    expect(inspect(answer)).not.toContain(KEY.accessKeyId);
  });

  it('says the fault and not the request', async () => {
    await withClient(optionsFor('http://127.0.0.1:1'), async (unheard) => {
      const message = 'connect ECONNREFUSED 127.0.0.1:1';
      expect(await unheard.deleteDeviceCertificate(newCertificate())).toMatchObject({ message });
      expect(await unheard.readInstance('post-cn-own')).toMatchObject({ message });
    });
  });

  it('from an address this host does not have has no effect', async () => {
    const options = optionsFor(wire.url, { localAddress: '203.0.113.7' });
    const answer = await withClient(options, (foreign) => foreign.deleteDeviceCertificate(newCertificate()));
    expect(answer).toMatchObject({ kind: 'network', code: 'EADDRNOTAVAIL', effect: 'none' });
  });

  it('because TLS failed has no effect', async () => {
    const options = optionsFor(wire.url.replace('http:', 'https:'));
    const answer = await withClient(options, (wrong) => wrong.deleteDeviceCertificate(newCertificate()));
    expect(answer).toMatchObject({ kind: 'network', effect: 'none' });
    expect(answer).not.toMatchObject({ code: 'failed' });
  });

  it('because TLS never ended has no effect, and the connection is given up', async () => {
    const mute = createTcpServer();
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const connected = once(mute, 'connection');
    const address = mute.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const options = optionsFor(`https://127.0.0.1:${port}`, { callDeadlineMs: 150 });
    const answer = await withClient(options, async (waiting) => {
      const heard = await waiting.deleteDeviceCertificate(newCertificate());
      const [socket] = (await connected) as [Socket];
      socket.resume();
      await closed(socket);
      return heard;
    });
    expect(answer).toEqual({
      kind: 'network',
      code: 'timeout',
      message: 'no connection within 150 ms',
      effect: 'none',
    });
    mute.close();
  });
});

describe('a call that left', () => {
  it.each([
    ['an answer cut off', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"Devi', 'ECONNRESET'],
    ['an answer that is no HTTP', 'SSH-2.0-OpenSSH\r\n', /^HPE_/],
    ['no answer at all', '', 'ECONNRESET'],
  ])('and met %s has an unknown effect; a read has none', async (_, bytes, code) => {
    const odd = createTcpServer((socket) => void socket.once('data', () => socket.end(bytes)));
    odd.listen(0, '127.0.0.1');
    await once(odd, 'listening');
    const address = odd.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await withClient(optionsFor(`http://127.0.0.1:${port}`), async (met) => {
      const expected = { kind: 'network', code: expect.stringMatching(code) };
      expect(await met.deleteDeviceCertificate(newCertificate())).toMatchObject({ ...expected, effect: 'unknown' });
      expect(await met.readInstance('post-cn-own')).toMatchObject({ ...expected, effect: 'none' });
    });
    odd.close();
  });
});
