import type { Environment } from './config/config.ts';

/** The next step for a person where verification is off. */
export const VERIFY_REMEDY =
  'unset it, and name the certificates of a private authority in NODE_EXTRA_CA_CERTS, or for Redis alone in redis.tls.caFile';

/** Whether Node was told to accept any certificate. Our own connections verify anyway, but not those of each library that looks for keys. */
export function isVerificationOff(environment: Environment): boolean {
  return environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0';
}
