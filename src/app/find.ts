import type { Action } from '../core/action.ts';
import type { Outcome } from '../core/batch.ts';
import type { Certificate } from '../core/certificate.ts';
import type { Batch } from '../ledger/batch-record.ts';
import { devicePlaces } from '../ledger/device-places.ts';
import { outcomesOfItems } from '../ledger/item-outcomes.ts';
import { ReportNotWhole } from '../ledger/report.ts';
import type { Store } from './store.ts';

/** What became of a device in one batch, as `find --json` prints it; other programs depend on its names. */
export interface FoundItem {
  readonly batch: string;
  readonly n: number;
  readonly action: Action;
  /** Null while it is pending, as are the three that follow. */
  readonly outcome: Outcome | null;
  /** The API's code, or one of ours in lower case; empty when there was no call. */
  readonly code: string | null;
  readonly requestId: string | null;
  /** ISO 8601, UTC, from the clock of Redis. */
  readonly settledAt: string | null;
  /** Of the item where it has its own, as direct ones have; else of the batch. Null where nobody said. */
  readonly requestedBy: string | null;
  readonly reason: string | null;
}

/** The same, with the certificate that it was. */
export interface FoundDevice extends FoundItem {
  readonly certificate: Certificate;
}

export interface DeviceSearch {
  /** Of the newest batch first; within a batch by ordinal. */
  readonly found: readonly FoundDevice[];
  /** Batches that were searched. */
  readonly batches: number;
  readonly notWhole: readonly NotWhole[];
  /** Batches that were forgotten, and with them what they held. */
  readonly forgotten: number;
}

/** A batch of which Redis has lost items, which may have been the device, or how an item that was it ended. */
export interface NotWhole {
  readonly batch: string;
  readonly lost: 'items' | 'outcomes';
}

/**
 * Searches every batch for a device, direct batches included.
 * @throws Redis' errors
 */
export async function findDevice({ ledger, redis }: Store, deviceSn: string): Promise<DeviceSearch> {
  const found: FoundDevice[] = [];
  const notWhole: NotWhole[] = [];
  const batches = await ledger.batches.all();
  for (const batch of batches) {
    const { places, lostChunks } = await devicePlaces(ledger, batch, deviceSn);
    // Forgotten since they were listed.
    const isLost = lostChunks > 0 && (await ledger.batches.find(batch.id)) !== undefined;
    if (isLost) notWhole.push({ batch: batch.id, lost: 'items' });
    if (places.length === 0) continue;
    const ordinals = places.map(({ n }) => n);
    const outcomes = await outcomesOfItems(ledger, batch.id, ordinals).catch((error: unknown) => {
      if (error instanceof ReportNotWhole) return undefined;
      throw error;
    });
    if (outcomes === undefined) {
      notWhole.push({ batch: batch.id, lost: 'outcomes' });
      continue;
    }
    for (const { n, certificate, ...own } of places) {
      const { outcome = null, code = null, requestId = null, settledAt = null } = outcomes.get(n) ?? {};
      const end = { outcome, code, requestId, settledAt };
      found.push({ batch: batch.id, n, action: batch.action, ...end, ...motiveOf(batch, own), certificate });
    }
  }
  const forgotten = await redis.hlen(ledger.keys.forgotten);
  return { found, batches: batches.length, notWhole, forgotten };
}

function motiveOf(batch: Batch, own: Pick<Batch, 'requestedBy' | 'reason'>): Pick<FoundItem, 'requestedBy' | 'reason'> {
  return {
    requestedBy: own.requestedBy ?? batch.requestedBy ?? null,
    reason: own.reason ?? batch.reason ?? null,
  };
}
