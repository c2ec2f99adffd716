import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCertificate } from '../../src/core/certificate.ts';
import { CHUNK_ITEMS, chunkOf } from '../../src/ledger/chunk.ts';
import {
  blockId,
  blockRange,
  jobIdOf,
  NO_TRAIL,
  parseBlock,
  parseJob,
  retriesOfJob,
} from '../../src/queue/contract.ts';

const serial = fc.stringMatching(/^[0-9A-Za-z]{1,40}$/);
const certificate = fc.record({ instanceId: serial, caSn: serial, deviceSn: serial });
const batch = fc.stringMatching(/^[\w.-]{1,40}$/);
const count = fc.nat(1_000_000);
const trail = fc.record(
  { failures: count, calls: count, run: fc.string(), effectUnknown: fc.boolean() },
  { requiredKeys: [] },
);
const extras = fc.record(
  { requestedBy: fc.string(), reason: fc.string(), key: fc.string(), trail, somethingNew: fc.jsonValue() },
  { requiredKeys: [] },
);
/** Objects that are nearly jobs, where a naive reader would stumble. */
const nearly = fc.record(
  {
    v: fc.oneof(fc.constant(1), fc.jsonValue()),
    instanceId: fc.oneof(serial, fc.jsonValue()),
    caSn: fc.oneof(serial, fc.jsonValue()),
    deviceSn: fc.oneof(serial, fc.jsonValue()),
    batch: fc.oneof(batch, fc.jsonValue()),
    n: fc.oneof(count, fc.jsonValue()),
    trail: fc.oneof(trail, fc.jsonValue()),
    key: fc.jsonValue(),
  },
  { requiredKeys: [] },
);

describe('a job', () => {
  it('is read or refused, and nothing is thrown, whatever it is', () => {
    const property = fc.property(fc.oneof(nearly, fc.jsonValue(), fc.constant(undefined)), (data) => {
      const parsed = parseJob(data);
      if (!parsed.ok) return parsed.message.length > 0 && parsed.message.length < 600;
      // What passed can be worked with.
      const { certificate: named, item, trail: known } = parsed.job;
      const isCertificate = parseCertificate({ ...named }).ok;
      const isItem = item === undefined || (Number.isSafeInteger(item.n) && item.n >= 0 && !item.batch.includes(':'));
      const isTrail = Object.keys(NO_TRAIL).every((name) => {
        const kind = typeof NO_TRAIL[name as keyof typeof NO_TRAIL];
        return typeof known[name as keyof typeof NO_TRAIL] === kind;
      });
      return isCertificate && isItem && isTrail;
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  it('is accepted with the first four fields, and whatever else a producer adds by the contract', () => {
    const property = fc.property(certificate, extras, (fields, more) => {
      const parsed = parseJob({ v: 1, ...fields, ...more });
      expect(parsed).toMatchObject({ ok: true, job: { certificate: fields } });
      expect(parsed).not.toHaveProperty('job.item');
      expect(parsed).toMatchObject({ job: { trail: { ...NO_TRAIL, ...more.trail } } });
    });
    fc.assert(property);
  });

  it('stands for an item with batch and number, and for none with a batch alone', () => {
    const property = fc.property(certificate, batch, count, (fields, name, n) => {
      expect(parseJob({ v: 1, ...fields, batch: name, n })).toMatchObject({
        ok: true,
        job: { item: { batch: name, n } },
      });
      const alone = parseJob({ v: 1, ...fields, batch: name });
      expect(alone.ok).toBe(true);
      expect(alone).not.toHaveProperty('job.item');
      expect(parseJob({ v: 1, ...fields, n }).ok).toBe(false);
    });
    fc.assert(property);
  });

  it.each([
    ['the version of blocks', { v: 2, batch: 'b', from: 0, to: 1 }, 'v is 2, this worker knows 1'],
    ['another version', { v: 3 }, 'v is 3, this worker knows 1'],
    ['a missing serial number', { deviceSn: undefined }, 'deviceSn is missing'],
    ['a number that lost its zeros', { deviceSn: 35621737 }, 'write it in quotes'],
    ['a negative ordinal', { batch: 'b', n: -1 }, 'n is -1'],
    ['a fraction as ordinal', { batch: 'b', n: 1.5 }, 'n is 1.5'],
    ['a batch that is no text', { batch: 7 }, 'batch is 7, it must be text'],
    ['a trail that we did not write', { trail: { calls: -1 } }, 'trail is {"calls":-1}, leave it out'],
    ['more than any job needs', { reason: 'x'.repeat(20_000) }, 'the data is 200'],
  ])('is refused with %s, and told why', (_, fault, message) => {
    const parsed = parseJob({ v: 1, instanceId: 'i', caSn: 'c', deviceSn: 'd', ...fault });
    expect(parsed.ok).toBe(false);
    expect(parsed).toHaveProperty('message', expect.stringContaining(message));
  });
});

it('gives each life of an item an id that no other has', () => {
  const lives = fc.uniqueArray(fc.tuple(fc.nat(20), fc.nat(20)), { selector: String });
  const property = fc.property(lives, (all) => {
    const ids = all.map(([n, retries]) => jobIdOf('20261124-064134-3k9v0m2q8t6w4n1cd5r7hj0bea', n, retries));
    expect(new Set(ids).size).toBe(all.length);
    const read = ids.map((id, at) => [
      all[at]?.[0],
      retriesOfJob(id, '20261124-064134-3k9v0m2q8t6w4n1cd5r7hj0bea', all[at]?.[0] ?? 0),
    ]);
    expect(read).toEqual(all);
    expect(ids.filter((id) => id.includes(':') || /^\d+$/.test(id))).toEqual([]);
  });
  fc.assert(property);
});

it('reads no life from an id that somebody else has given', () => {
  for (const id of ['7', '', 'b.1.x', 'b.1.', 'b.1.01', 'b.12', 'b.1.2.3'])
    expect(retriesOfJob(id, 'b', 1)).toBeUndefined();
});

describe('a block', () => {
  const ofBlock = fc.record({ batch, instanceId: fc.string({ minLength: 1 }), from: count, to: count });

  it('has one id, from which its lane knows its ordinals, and no other lane', () => {
    const property = fc.property(ofBlock, batch, (block, other) => {
      const id = blockId(block);
      expect(id).toBe(blockId({ ...block }));
      // BullMQ takes no id with a colon, nor one that is a number.
      expect(id.includes(':') || /^\d+$/.test(id)).toBe(false);
      expect(blockRange(id, block.batch, block.instanceId)).toEqual({ from: block.from, to: block.to });
      expect(blockRange(id, block.batch, `${block.instanceId}x`)).toBeUndefined();
      fc.pre(!id.startsWith(`${other}.`));
      expect(blockRange(id, other, block.instanceId)).toBeUndefined();
    });
    fc.assert(property);
  });

  it('is read as it was written, and nothing else is read as one', () => {
    const property = fc.property(ofBlock, fc.nat(CHUNK_ITEMS), (some, items) => {
      const to = Math.min(some.from + items + 1, (chunkOf(some.from) + 1) * CHUNK_ITEMS);
      const block = { ...some, to };
      expect(parseBlock({ v: 2, ...block })).toEqual(block);
    });
    fc.assert(property);
    const sound = { v: 2, batch: 'b', instanceId: 'i', from: 0, to: 50 };
    const faults = [
      { v: 1 },
      { batch: 7 },
      { batch: 'x:settled' },
      { instanceId: undefined },
      { from: 0.5 },
      { to: '50' },
      { from: -1 },
      { to: 0 },
      { from: 50 },
      // Item 1,000 would be called for with the certificate of item 0.
      { from: 999, to: 1_001 },
      { batch: 'direct-prod' },
    ];
    for (const fault of faults) expect(parseBlock({ ...sound, ...fault })).toBeUndefined();
    for (const data of [undefined, null, 'text', 7, []]) expect(parseBlock(data)).toBeUndefined();
  });
});
