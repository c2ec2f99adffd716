import type { Certificate } from '../core/certificate.ts';
import { classOf, type CertificateClass } from '../core/plan.ts';
import type { RegisteredDevice, RegisteredStatus } from '../core/registered.ts';
import type { Sink } from '../inventory/sink.ts';
import { NO_SINK } from '../inventory/sink.ts';
import { DigestMarks } from './digest-marks.ts';
import { Spool } from './spool.ts';

/** A certificate that somebody wants to change, and what the inventory says of it. */
export interface Classified {
  readonly certificate: Certificate;
  readonly as: CertificateClass;
}

export type Seen = 'first' | 'again' | 'unwanted';

/** The certificates that are wanted, in the order in which they were named. Must be closed, also after an error. */
export interface Wanted {
  /**
   * To be told of each certificate that is registered, as often as it is seen.
   * @returns whether it is wanted, and then whether it was seen before
   */
  see(instanceId: string, device: RegisteredDevice): Seen;
  /** Once all have been seen; may be read again. */
  classified(): Iterable<Classified>;
  close(): void;
}

const UNSEEN = 0;
const SEEN: Readonly<Record<RegisteredStatus, number>> = { active: 1, inactive: 2 };
const STATUSES: readonly (RegisteredStatus | undefined)[] = [undefined, 'active', 'inactive'];

/** Those of a manifest, in memory that grows by 35 to 70 bytes for each. */
export class WantedManifest implements Wanted {
  readonly #spool = new Spool();
  readonly #certificates = new DigestMarks(128);
  /** Only a hint to a typo comes from them. */
  readonly #devices = new DigestMarks(64);

  /**
   * @returns false where it was named before
   * @throws ScratchUnavailable
   */
  add({ instanceId, caSn, deviceSn }: Certificate): boolean {
    if (!this.#certificates.add(certificateKey(instanceId, caSn, deviceSn), UNSEEN)) return false;
    this.#devices.add(deviceKey(instanceId, deviceSn), UNSEEN);
    this.#spool.write(`${JSON.stringify([instanceId, caSn, deviceSn])}\n`);
    return true;
  }

  see(instanceId: string, { caSn, deviceSn, status }: RegisteredDevice): Seen {
    // One that is seen again may have changed: the last word holds.
    const before = this.#certificates.mark(certificateKey(instanceId, caSn, deviceSn), SEEN[status]);
    this.#devices.mark(deviceKey(instanceId, deviceSn), SEEN[status]);
    if (before === undefined) return 'unwanted';
    return before === UNSEEN ? 'first' : 'again';
  }

  *classified(): Generator<Classified, void, undefined> {
    for (const line of this.#spool.lines()) {
      const [instanceId, caSn, deviceSn] = JSON.parse(line) as [string, string, string];
      const status = STATUSES[this.#certificates.get(certificateKey(instanceId, caSn, deviceSn)) ?? UNSEEN];
      const isDeviceKnown = this.#devices.get(deviceKey(instanceId, deviceSn)) !== UNSEEN;
      yield { certificate: { instanceId, caSn, deviceSn }, as: classOf({ status, isDeviceKnown }) };
    }
  }

  close(): void {
    this.#spool.close();
  }
}

/** Those that an inventory selects: its sink takes them. */
export class WantedSelection implements Wanted {
  readonly #spool = new Spool();
  readonly sink: Sink = {
    ...NO_SINK,
    write: (rows) => {
      for (const { instanceId, caSn, deviceSn, status } of rows)
        this.#spool.write(`${JSON.stringify([instanceId, caSn, deviceSn, status])}\n`);
      return Promise.resolve();
    },
  };

  see(): Seen {
    // What is selected says what it is.
    return 'unwanted';
  }

  *classified(): Generator<Classified, void, undefined> {
    for (const line of this.#spool.lines()) {
      const [instanceId, caSn, deviceSn, status] = JSON.parse(line) as [string, string, string, RegisteredStatus];
      yield { certificate: { instanceId, caSn, deviceSn }, as: status };
    }
  }

  close(): void {
    this.#spool.close();
  }
}

function certificateKey(instanceId: string, caSn: string, deviceSn: string): string {
  return `${instanceId}\n${caSn}\n${deviceSn}`;
}

function deviceKey(instanceId: string, deviceSn: string): string {
  return `${instanceId}\n${deviceSn}`;
}
