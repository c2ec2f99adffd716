import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { RedisOptions } from 'ioredis';
import { RedisUnavailable } from './describe-error.ts';

/**
 * TLS with a server whose certificate is verified, said outright: Node would otherwise ask NODE_TLS_REJECT_UNAUTHORIZED.
 * @param ca - certificates to trust instead of those of the system, PEM
 */
export function verifiedTls(ca?: string): ConnectionOptions {
  return { rejectUnauthorized: true, ...(ca !== undefined && { ca }) };
}

/**
 * Reads the certificates of a private authority.
 * @throws RedisUnavailable when there is none in the file
 */
export function readCa(file: string): string {
  const wrong = (why: string): RedisUnavailable =>
    new RedisUnavailable(`redis.tls.caFile ${file} ${why}: give a file with the certificate of your authority, in PEM`);
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong(`cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : String(error)})`);
  }
  try {
    // Node takes a file without any certificate as well, and would then trust nobody.
    void new X509Certificate(pem);
  } catch {
    throw wrong('holds no certificate');
  }
  return pem;
}

/** Whether data and password go over a network as they are: no TLS, and a server that is not on this host. */
export function isUnencrypted({ tls, path, host = 'localhost', sentinels }: RedisOptions): boolean {
  if (tls !== undefined || path !== undefined) return false;
  const hosts = sentinels?.map((sentinel) => sentinel.host ?? 'localhost') ?? [host];
  return !hosts.every(isThisHost);
}

function isThisHost(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}
