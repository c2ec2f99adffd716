import { expect } from 'vitest';
import type { Outcome } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { ACCOUNT_KEY } from './installation.ts';
import type { Rig } from './rig.ts';
import { everythingIn, leaksIn } from './secrecy.ts';

/** Oracle 2, loss: every accepted item in exactly one outcome, its own; lost, doubled and invented are each zero. */
export async function expectNothingLost(rig: Rig, batch: string, items: readonly Certificate[]): Promise<void> {
  const detail = await rig.until(batch, ({ pending, state }) => pending === 0 && state !== 'planned');
  const { accepted, revoked, alreadyGone, dead, cancelled } = detail;
  expect(accepted).toBe(items.length);
  const rows = (await rig.report(batch)).toSorted((a, b) => a.ordinal - b.ordinal);
  expect(rows.map(({ ordinal }) => ordinal)).toEqual(items.map((_, n) => n));
  expect(rows.map(({ instanceId, caSn, deviceSn }) => ({ instanceId, caSn, deviceSn }))).toEqual(items);
  const ended = (as: Outcome): number => rows.filter(({ outcome }) => outcome === as).length;
  expect({ revoked, alreadyGone, dead, cancelled }).toEqual({
    revoked: ended('revoked'),
    alreadyGone: ended('already-gone'),
    dead: ended('dead'),
    cancelled: ended('cancelled'),
  });
}

/** Oracle 3, effect: deletions are a subset of the manifest, and `revoked` is what the registry lost. Nonces never repeat. */
export async function expectEffects(rig: Rig, batch: string, items: readonly Certificate[]): Promise<void> {
  const deleted = await expectDeletionsWithin(rig, items);
  const rows = await rig.report(batch);
  const revoked = new Set(rows.filter(({ outcome }) => outcome === 'revoked').map(({ deviceSn }) => deviceSn));
  expect(
    [...deleted].filter((sn) => !revoked.has(sn)),
    'deleted, and not counted as revoked',
  ).toEqual([]);
  expect(
    [...revoked].filter((sn) => !deleted.has(sn)),
    'counted as revoked, and not deleted',
  ).toEqual([]);
}

/** The part of oracle 3 that holds even where Redis lost what it had acknowledged. */
export async function expectDeletionsWithin(rig: Rig, items: readonly Certificate[]): Promise<Set<string>> {
  const calls = await rig.calls();
  const manifest = new Set(items.map(({ deviceSn }) => deviceSn));
  // A read of an endpoint that may be out names no device, and changes nothing.
  const named = calls.filter(({ operation, deleted }) => operation !== 'ListDeviceCertificate' || deleted);
  expect(named.filter(({ deviceSn }) => !manifest.has(deviceSn))).toEqual([]);
  expect(new Set(calls.map(({ nonce }) => nonce)).size, 'different nonces').toBe(calls.length);
  return new Set(calls.filter(({ deleted }) => deleted).map(({ deviceSn }) => deviceSn));
}

/** Oracle 4, secrecy: no key, secret or signature in any output, Redis value or report. */
export async function expectSecrecy(rig: Rig, batch: string): Promise<void> {
  const texts: (readonly [where: string, text: string])[] = [
    ['the report', JSON.stringify(await rig.report(batch))],
    ...rig.written,
    ...rig.workers.map((worker) => [`worker ${worker.pid}`, worker.output()] as const),
  ];
  for await (const [key, value] of everythingIn(rig.direct)) texts.push([`the key ${key}`, `${key} ${value}`]);
  const secrets = Object.values(ACCOUNT_KEY);
  expect(texts.flatMap(([where, text]) => leaksIn(text, secrets).map((leak) => `${where} holds ${leak}`))).toEqual([]);
}
