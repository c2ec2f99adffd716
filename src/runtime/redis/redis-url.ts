import type { RedisOptions } from 'ioredis';
import type { RedisNode } from './cluster.ts';
import { verifiedTls } from './encryption.ts';

const DEFAULT_PORT = 6379;

export type ParsedRedisUrl =
  /** Options of a connection, and the same place for people, without user and password. */
  | { readonly ok: true; readonly options: RedisOptions; readonly describe: string }
  /** What to write instead. Repeats no part of the URL: even the database may be a piece of a password with a "/" in it. */
  | { readonly ok: false; readonly remedy: string };

/** Reads `redis[s]://[user[:password]@]host[:port][/database]`. */
export function parseRedisUrl(text: string): ParsedRedisUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '' || !['redis:', 'rediss:'].includes(url.protocol)) {
    return wrong(
      'write it as redis://user:password@host:port/0, or rediss:// for TLS; "/", "@", ":" and "%" in a password as %2F, %40, %3A and %25',
    );
  }
  if (url.search !== '' || url.hash !== '') {
    return wrong('take "?" and "#" out; in a password they must be written %3F and %23');
  }
  const database = url.pathname.replace(/^\//, '');
  if (!/^\d{0,4}$/.test(database)) {
    return wrong('end it with /<number> of the database, or nothing; a "/" in a password must be written %2F');
  }
  const username = decode(url.username);
  const password = decode(url.password);
  if (username === undefined || password === undefined) {
    return wrong('write a "%" in user or password as %25');
  }
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  const options: RedisOptions = {
    // An IPv6 address stands in brackets in a URL, and without them for the network.
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    db: Number(database),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(url.protocol === 'rediss:' ? { tls: verifiedTls() } : {}),
  };
  const place = `${url.protocol}//${url.hostname}:${port}`;
  return { ok: true, options, describe: database === '' ? place : `${place}/${database}` };
}

/** Reads `host:port`, an IPv6 address in brackets; undefined when it is something else. */
export function parseNode(text: string): RedisNode | undefined {
  const [, address, name, port] = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = address ?? name;
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return undefined;
  return { host, port: Number(port) };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function wrong(remedy: string): ParsedRedisUrl {
  return { ok: false, remedy };
}
