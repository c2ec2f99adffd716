import type { RedisOptions } from 'ioredis';
import { RedisUnavailable } from './describe-error.ts';

const DEFAULT_PORT = 6379;

/**
 * Reads `redis[s]://[user[:password]@]host[:port][/database]`.
 * @returns the connection's options, and the same place for people, without user and password
 * @throws RedisUnavailable saying which part is wrong; the URL itself is not repeated, since it may hold a password
 */
export function parseRedisUrl(text: string): { options: RedisOptions; describe: string } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '' || !['redis:', 'rediss:'].includes(url.protocol)) {
    throw wrong('it is not of the form redis://user:password@host:port/0, or rediss:// for TLS');
  }
  if (url.search !== '' || url.hash !== '') {
    throw wrong('it has a "?" or "#"; in a password these must be written %3F and %23');
  }
  const database = url.pathname.replace(/^\//, '');
  if (!/^\d{0,4}$/.test(database)) throw wrong(`the database after the host must be a number, not "${database}"`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const options: RedisOptions = {
    host,
    port,
    db: Number(database),
    ...(url.username === '' ? {} : { username: decode(url.username) }),
    ...(url.password === '' ? {} : { password: decode(url.password) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  };
  const place = `${url.protocol}//${url.hostname}:${port}`;
  return { options, describe: database === '' ? place : `${place}/${database}` };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong('user or password has a "%" that is not followed by two hexadecimal digits; write %25 for it');
  }
}

function wrong(what: string): RedisUnavailable {
  return new RedisUnavailable(`redis.url cannot be used: ${what}`);
}
