import { createHmac, timingSafeEqual } from 'node:crypto';
import { textToSign, type SignedClaims } from '../core/direct-job.ts';

/**
 * Signs a job of contract version 1.
 * @returns lower-case hex; undefined where one of the values has a NUL, or half a surrogate pair
 */
export function signatureOf(key: string, claims: SignedClaims): string | undefined {
  const text = textToSign(claims);
  return text === undefined ? undefined : hmac(key, text).toString('hex');
}

/** Says of a text and 64 hexadecimal digits whether these are its signature, in a time that does not tell how many of them are right. */
export function signedWith(key: string): (text: string, sig: string) => boolean {
  return (text, sig) => timingSafeEqual(hmac(key, text), Buffer.from(sig, 'hex'));
}

function hmac(key: string, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest();
}
