import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHttpServer, type HttpServer } from '../../src/http/server.ts';
import { sendStream } from '../../src/http/stream.ts';
import type { Config } from '../../src/runtime/config/config.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { AppRoom } from '../app/app-room.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { INSTANCE } from '../ledger/ledger-room.ts';
import { askFor, TOKEN_ENTRIES, TOKENS } from './http-room.ts';

const BATCH = '20260102-000000-followed';
/** A process reads so many manifests at once. */
const UPLOADS = 4;
/** Of the server of this test. */
const STREAMS = 2;
/** More than the buffers between a server and a client take. */
const LARGE = 8 * 1024 * 1024;
const CLOSED_WITHIN_MS = 20_000;

const room = new AppRoom();
let server: HttpServer;
beforeAll(async () => {
  const { config, ...store } = await room.store();
  const http = { ...config.http, port: 0, tokens: TOKEN_ENTRIES as Config['http']['tokens'] };
  const body = { maxBytes: 1 << 20, idleMs: 300, leastBytesPerSecond: 1_024 };
  server = await openHttpServer({
    store: { ...store, config: { ...config, http } },
    log: createLogger('error'),
    limits: { small: body, manifest: body, idleMs: 1_500, lingerMs: 300, streams: STREAMS },
  });
});
afterAll(async () => {
  await server.close();
  await room.cleanup();
});

function open(head: string): Socket {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(`${head}\r\n\r\n`);
  return socket;
}

function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Sends the head, and then a byte now and then for as long as the server bears it. @returns what came back */
async function trickle(head: string): Promise<string> {
  const socket = open(`${head}\r\nhost: localhost\r\ncontent-length: 100000`);
  let heard = '';
  socket.setEncoding('utf8').on('data', (more: string) => (heard += more));
  const drip = setInterval(() => socket.write('x'), 50);
  await closed(socket);
  clearInterval(drip);
  return heard;
}

const bearer = `authorization: Bearer ${TOKENS.operator}`;
const upload = `POST /v1/batches?execute=true&confirm=3 HTTP/1.1\r\n${bearer}\r\ncontent-type: text/csv`;

describe('a body that trickles', () => {
  it('is given up where somebody waits for it, and holds nothing afterwards', async () => {
    const heads = [
      `POST /v1/stop HTTP/1.1\r\n${bearer}\r\ncontent-type: application/json`,
      'POST /login HTTP/1.1',
      ...Array.from({ length: UPLOADS }, () => upload),
    ];
    for (const heard of await Promise.all(heads.map(trickle)))
      expect(heard).toMatch(/^HTTP\/1\.1 408 [^]*"type":"urn:certsweep:problem:too-slow"/);
    const body = manifestOf(certificates(1).map((one) => ({ ...one, instanceId: INSTANCE })));
    const headers = { 'content-type': 'text/csv' };
    const next = await askFor(`${server.url}v1/batches`, { as: 'producer', method: 'POST', body, headers });
    expect(next).toMatchObject({ status: 200, json: { state: 'dry-run', accepted: 1 } });
  });

  it('is cut where nobody waits for it: its answer is there already', async () => {
    const heads = ['GET /livez HTTP/1.1', 'GET /v1/batches HTTP/1.1', `GET /v1/halts HTTP/1.1\r\n${bearer}`];
    const [live, ...others] = await Promise.all(heads.map(trickle));
    expect(live).toMatch(/^HTTP\/1\.1 200 /);
    for (const heard of others) expect(heard).toMatch(/^HTTP\/1\.1 (200|401) /);
  });
});

describe('a stream that nobody reads', () => {
  it('of events makes room for others after a while', async () => {
    const state = { state: 'running', accepted: 2, submittedAt: 1, reason: 'x'.repeat(LARGE) };
    await room.redis.hset(room.ledger.keys.of(BATCH).record, state);
    const head = `GET /v1/events?batch=${BATCH} HTTP/1.1\r\nhost: localhost\r\n${bearer}`;
    const deaf = Array.from({ length: STREAMS }, () => open(head));
    // What has come stays where it is: a listener of `readable` has to read it.
    await Promise.all(deaf.map((socket) => once(socket, 'readable')));
    expect(await follow()).toBe(503);
    await expect.poll(follow, { timeout: CLOSED_WITHIN_MS, interval: 500 }).toBe(200);
    // They were cut in the middle of their first event: no more of it was ever on the way.
    for (const socket of deaf) {
      let bytes = 0;
      socket.on('data', (piece: Buffer) => (bytes += piece.length)).resume();
      await closed(socket);
      expect(bytes).toBeLessThan(LARGE);
    }
  });

  it('of events is over for who goes away before its first word', async () => {
    await room.redis.hset(room.ledger.keys.of(BATCH).record, { reason: 'short' });
    for (let round = 0; round < 10; round += 1) {
      const gone = open(`GET /v1/events?batch=${BATCH} HTTP/1.1\r\nhost: localhost\r\n${bearer}`);
      await once(gone, 'connect');
      gone.destroy();
      await closed(gone);
    }
    await expect.poll(follow).toBe(200);
  });

  it('is read no further than its client reads, and ended with it', async () => {
    let pulled = 0;
    let isEnded = false;
    async function* endless(): AsyncGenerator<string> {
      try {
        for (;;) yield await Promise.resolve('x'.repeat(LARGE / 16)).finally(() => (pulled += 1));
      } finally {
        isEnded = true;
      }
    }
    const bare = createServer((_, outgoing) => void sendStream(outgoing, {}, endless()));
    bare.timeout = 500;
    await once(bare.listen(0, '127.0.0.1'), 'listening');
    const deaf = connect((bare.address() as AddressInfo).port, '127.0.0.1').pause();
    deaf.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await expect.poll(() => isEnded, { timeout: CLOSED_WITHIN_MS }).toBe(true);
    expect(pulled).toBeLessThan(16);
    deaf.destroy();
    bare.close();
  });
});

async function follow(): Promise<number> {
  const aborted = new AbortController();
  const headers = { authorization: `Bearer ${TOKENS.operator}` };
  const { status } = await fetch(`${server.url}v1/events?batch=${BATCH}`, { headers, signal: aborted.signal });
  aborted.abort();
  return status;
}
