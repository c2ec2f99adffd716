import type { RegisteredDevice, RegisteredStatus } from '../core/registered.ts';
import { readContent, spellingsOf, type WantedPem } from './pem.ts';

/** Which certificates are wanted: those that fit every kind of selector that is given. Times are milliseconds. */
export interface Selectors {
  readonly status?: RegisteredStatus | undefined;
  readonly expiredForMs?: number | undefined;
  readonly expiresWithinMs?: number | undefined;
  /** Each once. */
  readonly names?: readonly string[] | undefined;
  readonly pems?: readonly WantedPem[] | undefined;
}

/** What becomes of a certificate: `maybe` where only its serial number is like that of the PEMs with these numbers. */
export type Selected =
  | { readonly kind: 'yes' }
  | { readonly kind: 'no' }
  | { readonly kind: 'maybe'; readonly pems: readonly number[] };

const YES: Selected = { kind: 'yes' };
const NO: Selected = { kind: 'no' };

/** Judges certificates, and notes which names and PEMs were found. */
export class Selection {
  readonly foundNames: Set<number>;
  readonly foundPems: Set<number>;
  readonly #selectors: Selectors;
  readonly #nowMs: number;
  readonly #names: ReadonlyMap<string, number> | undefined;
  readonly #byDigest: ReadonlyMap<string, number>;
  /** Authorities number on their own: several PEMs may have one serial number. */
  readonly #bySerial = new Map<string, number[]>();

  /** @param nowMs - Unix milliseconds: of one walk always the same */
  constructor(
    selectors: Selectors,
    nowMs: number,
    found: { readonly names: readonly number[]; readonly pems: readonly number[] },
  ) {
    const { names, pems = [] } = selectors;
    this.#selectors = selectors;
    this.#nowMs = nowMs;
    this.foundNames = new Set(found.names);
    this.foundPems = new Set(found.pems);
    this.#names = names === undefined ? undefined : new Map(names.map((name, at) => [name, at]));
    this.#byDigest = new Map(pems.map(({ digest }, at) => [digest, at]));
    for (const [at, { serial }] of pems.entries())
      this.#bySerial.set(serial, [...(this.#bySerial.get(serial) ?? []), at]);
  }

  judge(device: RegisteredDevice): Selected {
    const { status, expiredForMs, expiresWithinMs, pems } = this.#selectors;
    const { validEndMs } = device;
    const nowMs = this.#nowMs;
    if (status !== undefined && device.status !== status) return NO;
    if (expiredForMs !== undefined && !(validEndMs !== undefined && validEndMs <= nowMs - expiredForMs)) return NO;
    if (expiresWithinMs !== undefined) {
      const expires = validEndMs !== undefined && validEndMs > nowMs && validEndMs <= nowMs + expiresWithinMs;
      if (!expires) return NO;
    }
    const name = this.#names?.get(device.deviceName);
    if (this.#names !== undefined && name === undefined) return NO;
    const selected = pems === undefined ? YES : this.#judgePem(device, pems);
    if (selected.kind !== 'no' && name !== undefined) this.foundNames.add(name);
    return selected;
  }

  #judgePem({ content, deviceSn }: RegisteredDevice, pems: readonly WantedPem[]): Selected {
    const found = readContent(content);
    const same = found === undefined ? undefined : this.#byDigest.get(found.digest);
    if (same !== undefined) {
      this.foundPems.add(same);
      return YES;
    }
    if (found?.x509 !== undefined) {
      const { serial, issuer } = found.x509;
      // A certificate of another issuer with this number is another certificate.
      const like = this.#bySerial.get(serial)?.find((at) => pems[at]?.issuer === issuer);
      if (like === undefined) return NO;
      this.foundPems.add(like);
      return YES;
    }
    const like = new Set(spellingsOf(deviceSn).flatMap((spelling) => this.#bySerial.get(spelling) ?? []));
    return like.size === 0 ? NO : { kind: 'maybe', pems: [...like] };
  }
}
