import { get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Connections } from '../../src/mqtt/connections.ts';
import { Deadlines } from '../../src/mqtt/deadlines.ts';
import { DeadlinePassed, OutgoingCall, SlotVoid } from '../../src/mqtt/outgoing-call.ts';
import { startWire, type Wire } from './clients.ts';
import { closed } from '../support/closed.ts';

let wire: Wire;
let opened: number;
let connections: Connections;
beforeEach(async () => {
  opened = 0;
  wire = await startWire((_, response) => response.end('{}'));
  wire.server.on('connection', () => (opened += 1));
  connections = new Connections(false, { maxConnections: 1 });
});
afterEach(async () => {
  connections.close();
  await wire.close();
});

function callOf(deadlineMs: number, notAfterMs?: number): OutgoingCall {
  return new OutgoingCall(new Deadlines(deadlineMs), notAfterMs);
}

/** A request as the SDK would make it, the call's last look left out. */
async function request(outgoing: OutgoingCall): Promise<void> {
  const options = { agent: connections.agent, outgoing };
  const sent = get(wire.url, options);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'close');
}
const blockUntil = (ms: number): void => {
  while (performance.now() <= ms);
};

describe('a connection', () => {
  it('that comes up after the slot sends nothing and serves the next call', async () => {
    const asked: unknown[] = [];
    wire.server.on('request', () => asked.push(1));
    const notAfterMs = performance.now() + 5;
    const late = callOf(60_000, notAfterMs);
    const call = request(late);
    // The connection is on its way; nothing can come of it before this turn of the event loop ends.
    blockUntil(notAfterMs);
    await expect(call).rejects.toThrow(SlotVoid);
    expect(late.left).toBe(false);
    expect(asked).toHaveLength(0);
    late.end();

    for (let round = 0; round < 2; round += 1) {
      const next = callOf(60_000, performance.now() + 60_000);
      next.depart();
      await request(next);
      expect(next.left).toBe(true);
      next.end();
    }
    expect(asked).toHaveLength(2);
    expect(opened).toBe(1);
  });

  it('that is up serves no call whose slot passes between the hook and the write', async () => {
    const asked: unknown[] = [];
    wire.server.on('request', () => asked.push(1));
    const first = callOf(60_000);
    await request(first);
    first.end();
    const late = callOf(60_000, performance.now() + 20);
    late.depart();
    const call = request(late);
    // Nothing of it is written before this turn of the event loop ends.
    blockUntil(performance.now() + 20);
    await expect(call).rejects.toThrow(SlotVoid);
    late.end();
    const next = callOf(60_000);
    await request(next);
    next.end();
    expect(asked).toHaveLength(2);
  });

  it('kept for the next call is given up when the server speaks unasked: that is no answer', async () => {
    const notAfterMs = performance.now() + 5;
    const late = callOf(60_000, notAfterMs);
    const accepted = once(wire.server, 'connection');
    const call = request(late);
    blockUntil(notAfterMs);
    await expect(call).rejects.toThrow(SlotVoid);
    late.end();
    const [socket] = (await accepted) as [Socket];
    // As Node's own server does when no request comes in time.
    socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    await closed(socket);
    const next = callOf(60_000);
    next.depart();
    await request(next);
    next.end();
    expect(opened).toBe(2);
  });

  it('kept for the next call may end meanwhile: another is made', async () => {
    const notAfterMs = performance.now() + 5;
    const late = callOf(60_000, notAfterMs);
    const accepted = once(wire.server, 'connection');
    const call = request(late);
    blockUntil(notAfterMs);
    await expect(call).rejects.toThrow(SlotVoid);
    late.end();
    const [socket] = (await accepted) as [Socket];
    socket.resetAndDestroy();
    await closed(socket);
    // The reset reaches this side through the event loop, too.
    for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const next = callOf(60_000);
    next.depart();
    await request(next);
    next.end();
    expect(opened).toBe(2);
  });
});

describe('the end', () => {
  it('reaches a connection kept for the next call', async () => {
    const notAfterMs = performance.now() + 5;
    const late = callOf(60_000, notAfterMs);
    const accepted = once(wire.server, 'connection');
    const call = request(late);
    blockUntil(notAfterMs);
    await expect(call).rejects.toThrow(SlotVoid);
    late.end();
    const [socket] = (await accepted) as [Socket];
    const ended = closed(socket);
    connections.close();
    await ended;
  });

  it('reaches a connection that is being made, and its call hears of it', async () => {
    const outgoing = callOf(60_000);
    const call = request(outgoing);
    connections.close();
    await expect(call).rejects.toThrow('the client is closed');
    expect(outgoing.left).toBe(false);
    outgoing.end();
  });
});

describe('the right to a connection', () => {
  it('comes in order; who cannot wait longer gives up the place', async () => {
    const holder = callOf(60_000);
    await connections.enter(holder);
    const hasty = callOf(20);
    const order: string[] = [];
    const first = connections.enter(hasty);
    const second = connections.enter(holder).then(() => order.push('second'));
    const third = connections.enter(holder).then(() => order.push('third'));
    await expect(first).rejects.toThrow(DeadlinePassed);
    expect(order).toEqual([]);
    connections.leave();
    await second;
    expect(order).toEqual(['second']);
    connections.leave();
    await third;
    connections.leave();
    await connections.enter(holder);
    await expect(connections.enter(hasty)).rejects.toThrow(DeadlinePassed);
    for (const outgoing of [holder, hasty]) outgoing.end();
  });
});

describe('an outgoing call', () => {
  it('past its deadline is not begun, even where the timer is late', () => {
    const outgoing = callOf(5);
    blockUntil(performance.now() + 6);
    expect(outgoing.isOver).toBe(false);
    expect(() => outgoing.depart()).toThrow(DeadlinePassed);
    expect(outgoing.left).toBe(false);
    outgoing.end();
  });
});
