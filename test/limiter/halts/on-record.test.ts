import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, expect, it } from 'vitest';
import { entryOf, storedEntries, verifyChain } from '../../../src/audit/chain.ts';
import { auditKeys, type AuditEntry } from '../../../src/audit/entry.ts';
import { openHaltStore, readHalts } from '../../../src/limiter/halts/halt-store.ts';
import { testRedis } from '../../support/redis.ts';

const redis = testRedis();
afterAll(() => redis.cleanup());

function storeOf(name: string, client: Redis = redis.client): ReturnType<typeof openHaltStore> {
  const account = { name, qps: 400 };
  const egress = { id: 'shared', qps: 400 };
  return openHaltStore({ redis: client, prefix: redis.prefix, account, egress, lateMs: 25 }, 1_000);
}

async function entries(): Promise<(AuditEntry | undefined)[]> {
  const found = [];
  for await (const stored of storedEntries(redis.client, auditKeys(redis.prefix))) found.push(entryOf(stored));
  return found;
}

it('has one entry for a halt, however many processes mark it, and one for its end', async () => {
  const stores = [storeOf('prod'), storeOf('prod')] as const;
  const marked = await Promise.all(stores.map((store) => store.mark('account', 'i', 'Forbidden.RAM', 'not allowed')));
  expect(marked.filter(Boolean)).toHaveLength(1);
  expect(await stores[0].mark('instance', 'i', 'Other', 'gone')).toBe(true);
  expect(await Promise.all(stores.map((store) => store.unmark('i')))).toContain(true);
  expect(await stores[0].unmark('i')).toBe(false);
  expect((await entries()).map((entry) => [entry?.event, entry?.batch, entry?.reason, entry?.counts])).toEqual([
    ['halt', null, 'account prod: Forbidden.RAM: not allowed', null],
    ['halt', null, 'instance i of account prod: Other: gone', null],
    ['lift', null, 'account prod: the probe of instance i succeeded', null],
  ]);
  expect(await verifyChain(redis.client, auditKeys(redis.prefix))).toMatchObject({ kind: 'whole', entries: 3 });
});

it('is not marked again by a mark that is sent again after the halt was lifted', async () => {
  const sent: unknown[][] = [];
  const client = new Proxy(redis.client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (name === 'evalsha') sent.push(args);
        return Reflect.apply(value, target, args);
      };
    },
  });
  const before = (await entries()).length;
  const store = storeOf(`again-${randomUUID()}`, client);
  await store.mark('account', 'i', 'Forbidden.RAM', 'not allowed');
  await store.unmark('i');
  // As a client does whose reply was lost: the same bytes.
  const again = redis.client as { evalsha(...args: unknown[]): Promise<unknown> };
  for (const args of sent.slice(-2)) expect(await again.evalsha(...args)).toBe(1);
  expect((await entries()).length).toBe(before + 2);
  expect(await readHalts(redis.client, redis.prefix)).toEqual([]);
});
