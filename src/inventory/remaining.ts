import { isAmiss, type Action } from '../core/action.ts';
import { blameOf } from '../core/code-table.ts';
import type { RegisteredDevice } from '../core/registered.ts';
import { WALK_START } from '../core/walk.ts';
import { DuplicateDetector } from '../manifest/duplicate-detector.ts';
import type { MqttClient } from '../mqtt/client.ts';
import { listingOfDevices } from './listings.ts';
import { walkPages, type Page } from './pages.ts';
import type { ReadDesk, ReadEnd } from './reads.ts';
import type { RemainingCertificate } from './verification.ts';

/** A CA whose certificates are looked for. */
export interface WantedCa {
  readonly instanceId: string;
  readonly caSn: string;
  /** Certificates of it that are looked for. */
  certificates: number;
  /** The API has confirmed one of them, so it knows the CA's number. */
  isKnown: boolean;
}

/** What walks over CAs found so far. */
export interface Found {
  readonly remaining: RemainingCertificate[];
  /** The order of a listing changed meanwhile, or it ended before its own total says so: some may have been missed. */
  isMoved: boolean;
  /** Rows that name no certificate that can be called for. */
  unreadable: number;
  calls: number;
}

export interface ReadParts {
  readonly desk: ReadDesk;
  readonly client: Pick<MqttClient, 'listDeviceCertificates'>;
  /** What was done with the certificates. */
  readonly action: Action;
  /** Has each of them. */
  readonly wanted: DuplicateDetector;
  readonly found: Found;
}

/**
 * Walks over CAs, one after the other, and adds to `found` what is registered and not as the action should have left it.
 * @throws ScratchUnavailable
 */
export async function findRemaining(
  { desk, client, action, wanted, found }: ReadParts,
  cas: Iterable<WantedCa>,
): Promise<'found' | Exclude<ReadEnd<never>, { kind: 'read' }>> {
  // Windows overlap, so a certificate comes more than once.
  const seen = new DuplicateDetector();
  try {
    for (const { instanceId, caSn, isKnown } of cas) {
      const take = (page: Page<RegisteredDevice>): void => {
        found.unreadable += page.unreadable;
        for (const { deviceSn, status } of page.found) {
          const certificate = { instanceId, caSn, deviceSn };
          if (isAmiss(action, status) && wanted.has(certificate) && seen.add(certificate))
            found.remaining.push({ ...certificate, status });
        }
      };
      const end = await walkPages({
        desk,
        listing: listingOfDevices(client, instanceId, caSn),
        from: WALK_START,
        take,
      });
      if (end.kind === 'walked') found.isMoved ||= end.state.isMoved || end.isCutShort;
      else if (!isAbsent(end, isKnown)) return end;
    }
    return 'found';
  } finally {
    found.calls += desk.calls;
    seen.close();
  }
}

/** A CA that is not registered has no certificates that are; a number that no call was ever accepted for names none. */
function isAbsent(end: Exclude<ReadEnd<never>, { kind: 'read' }>, isKnown: boolean): boolean {
  if (end.kind !== 'refused') return false;
  return end.code === 'FindCaBySnError' || (!isKnown && blameOf(end.code) === 'item');
}
