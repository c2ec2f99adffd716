import { z } from 'zod';
import type { Certificate } from '../core/certificate.ts';
import { REGISTERED_STATUSES, type RegisteredStatus } from '../core/registered.ts';

/** A certificate that is registered, and not as its batch was to leave it. */
export interface RemainingCertificate extends Certificate {
  readonly status: RegisteredStatus;
}

/** What `certsweep verify` found, as it prints and writes it; other programs depend on its names. */
export interface Verification {
  readonly batch: string;
  /** Certificates of the batch that were looked for. */
  readonly checked: number;
  readonly remaining: readonly RemainingCertificate[];
}

const schema = z.object({
  batch: z.string(),
  checked: z.int(),
  remaining: z.array(
    z.object({
      instanceId: z.string(),
      caSn: z.string(),
      deviceSn: z.string(),
      status: z.enum(REGISTERED_STATUSES),
    }),
  ),
});

/** Undefined for what `certsweep verify` has not written. */
export function parseVerification(text: string): Verification | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
