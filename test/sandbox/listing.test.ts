import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateCertificates } from '../../src/sandbox/generate.ts';
import { listedRegistry } from '../../src/sandbox/listed-registry.ts';
import { LISTING_ORDERS, makeListing, type ListingOrder } from '../../src/sandbox/listing-order.ts';
import { seededRandom } from '../../src/sandbox/seeded.ts';

const FIXED = LISTING_ORDERS.filter((order) => order !== 'changing');

describe.each(FIXED)('the order %s', (order) => {
  it('never changes for two certificates, whatever comes and goes, and its pages are cut from it', () => {
    const changes = fc.array(fc.record({ adds: fc.boolean(), at: fc.nat(5_000) }), { maxLength: 3_000 });
    fc.assert(
      fc.property(changes, fc.nat(1_000), fc.integer({ min: 1, max: 100 }), (steps, seed, pageSize) => {
        const listing = makeListing(order, seededRandom(seed));
        const present: number[] = [];
        let next = 0;
        const add = (): void => {
          listing.insert(next);
          present.push(next);
          next += 1;
        };
        for (let n = 0; n < 2_000; n += 1) add();
        const before = listing.page(0, Number.POSITIVE_INFINITY);
        for (const { adds, at } of steps) {
          const [gone] = adds || present.length === 0 ? [] : present.splice(at % present.length, 1);
          if (gone === undefined) add();
          else listing.remove(gone);
        }
        const after = listing.page(0, Number.POSITIVE_INFINITY);
        expect(after.toSorted((a, b) => a - b)).toEqual(present.toSorted((a, b) => a - b));
        const stayed = new Set(present);
        const known = new Set(before);
        expect(after.filter((id) => known.has(id))).toEqual(before.filter((id) => stayed.has(id)));
        const pages: number[] = [];
        for (let from = 0; from < listing.size; from += pageSize) pages.push(...listing.page(from, pageSize));
        expect(pages).toEqual(after);
      }),
      { numRuns: 30 },
    );
  });
});

it('oldest and newest are each other the other way round, and shuffled is neither', () => {
  const ids = (order: ListingOrder): number[] => {
    const listing = makeListing(order, seededRandom(1));
    for (let id = 0; id < 500; id += 1) listing.insert(id);
    return listing.page(0, 500);
  };
  expect(ids('newest')).toEqual(ids('oldest').toReversed());
  expect(ids('shuffled')).not.toEqual(ids('oldest'));
  expect(ids('shuffled')).toEqual(ids('shuffled'));
});

it('changing is another order with each call, each of them whole', () => {
  const listing = makeListing('changing', seededRandom(1));
  for (let id = 0; id < 301; id += 1) listing.insert(id);
  const [first, second] = [listing.page(0, 301), listing.page(0, 301)];
  expect(first).not.toEqual(second);
  expect(new Set(first).size).toBe(301);
});

it('holds many certificates in little memory, and finds pages while some are deleted', () => {
  const count = 100_000;
  const before = process.memoryUsage().heapUsed;
  const registry = listedRegistry(generateCertificates(count, { seed: 1, instanceId: 'post-cn-own', caSn: '00aa' }), {
    order: 'shuffled',
  });
  // Without a collection, what is garbage counts too.
  expect((process.memoryUsage().heapUsed - before) / count).toBeLessThan(1_000);
  const scope = { instanceId: 'post-cn-own', caSn: '00aa' };
  for (let step = 0; step < 500; step += 1) {
    const [device] = registry.list(scope, 97 * step, 10);
    if (device !== undefined) registry.change(device, 'absent');
  }
  expect(registry.countOf(scope)).toBe(count - 500);
});
