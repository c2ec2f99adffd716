import type { Certificate } from '../core/certificate.ts';

/** What the broker knows of a certificate or a CA. */
export type Registration = 'active' | 'inactive' | 'absent';

/** What a registration says of itself, beside its serial number and its state. */
export interface Details {
  readonly name: string;
  /** Unix milliseconds. */
  readonly validBeginMs: number;
  readonly validEndMs: number;
  /** PEM text. */
  readonly pem: string;
}

export interface DeviceRecord extends Certificate, Details {
  readonly state: 'active' | 'inactive';
}

export interface CaRecord extends Details {
  readonly instanceId: string;
  readonly caSn: string;
  readonly state: 'active' | 'inactive';
}

/** What a listing is of: an instance, or one of its CAs. */
export interface ListingScope {
  readonly instanceId: string;
  readonly caSn?: string | undefined;
}

/** The stand-in for the broker's certificate registry. Holds some 16 million changes, the size of a JavaScript set. */
export interface Registry {
  stateOf(certificate: Certificate): Registration;
  /** Undefined where it is not registered. */
  device(certificate: Certificate): DeviceRecord | undefined;
  /** Sets the state; `absent` removes the registration. The certificate must be present. */
  change(certificate: Certificate, state: Registration): void;
  ca(instanceId: string, caSn: string): CaRecord | undefined;
  /** Sets the state; `absent` removes the CA with every certificate that it issued. The CA must be present. */
  changeCa(instanceId: string, caSn: string, state: Registration): void;
  /** So many certificates from a place on, from 0, in the order in which this call finds them. */
  list(scope: ListingScope, from: number, count: number): DeviceRecord[];
  countOf(scope: ListingScope): number;
  /** The CAs of an instance in the order in which they were registered. */
  listCas(instanceId: string): CaRecord[];
  readonly deletedCount: number;
  /** Undefined where every certificate exists until it is deleted. */
  readonly registeredCount: number | undefined;
}

/** One text per certificate. Fields have no control characters (`parseCertificate`), so the parts cannot run together. */
export function certificateKey(certificate: Certificate): string {
  return copyText(`${certificate.instanceId}\n${certificate.caSn}\n${certificate.deviceSn}`);
}

/** A copy of its own, to be kept: a part of a request, even joined to others, would keep the whole request in memory. */
export function copyText(text: string): string {
  return Buffer.from(text).toString();
}
