import type { Certificate } from '../core/certificate.ts';
import { seededRandom } from './seeded.ts';

export interface GenerateOptions {
  readonly seed: number;
  readonly instanceId: string;
  readonly caSn: string;
}

const MODULUS = 1e15;

/**
 * `count` certificates of one CA, the same ones for the same options, no two alike: 20-digit serial numbers that begin with
 * zeros, as the broker shows them. Can be iterated once.
 */
export function* generateCertificates(
  count: number,
  options: GenerateOptions,
): Generator<Certificate, void, undefined> {
  const { seed, instanceId, caSn } = options;
  const random = seededRandom(seed);
  const prefix = String(Math.floor(random() * 1000)).padStart(5, '0');
  // A step that has no factor in common with the modulus visits every number before the first again.
  const step = Math.floor(random() * (MODULUS / 10)) * 10 + 7;
  let value = Math.floor(random() * MODULUS);
  for (let made = 0; made < count; made += 1) {
    yield { instanceId, caSn, deviceSn: `${prefix}${String(value).padStart(15, '0')}` };
    value = (value + step) % MODULUS;
  }
}
