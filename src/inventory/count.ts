import { WALK_START } from '../core/walk.ts';
import { DuplicateDetector } from '../manifest/duplicate-detector.ts';
import type { MqttClient } from '../mqtt/client.ts';
import { listingOfDevices } from './listings.ts';
import { walkPages } from './pages.ts';
import type { ReadDesk, ReadEnd } from './reads.ts';

export type CountEnd =
  | { readonly kind: 'counted'; readonly certificates: number }
  /** The order of the listing changed meanwhile, or it ended before its own total says so: the number is not known. */
  | { readonly kind: 'moved' }
  | Exclude<ReadEnd<never>, { kind: 'read' }>;

/**
 * Counts the certificates of a CA, each once, by a walk: the total that the API gives is not documented well enough to delete by.
 * @throws ScratchUnavailable
 */
export async function countDevices(
  { desk, client }: { readonly desk: ReadDesk; readonly client: Pick<MqttClient, 'listDeviceCertificates'> },
  instanceId: string,
  caSn: string,
): Promise<CountEnd> {
  const seen = new DuplicateDetector();
  let certificates = 0;
  let unreadable = 0;
  try {
    const end = await walkPages({
      desk,
      listing: listingOfDevices(client, instanceId, caSn),
      from: WALK_START,
      take({ found, unreadable: more }) {
        unreadable += more;
        for (const { deviceSn } of found) if (seen.add({ instanceId, caSn, deviceSn })) certificates += 1;
      },
    });
    if (end.kind !== 'walked') return end;
    if (end.state.isMoved || end.isCutShort) return { kind: 'moved' };
    // Rows that name nothing are in each page that shows them: then only the place where the listing ended tells how many there are.
    return { kind: 'counted', certificates: unreadable === 0 ? certificates : Math.max(certificates, end.state.end) };
  } finally {
    seen.close();
  }
}
