import type { ServerBinary } from './embedded/server-binary.ts';

/** What happened to the embedded Redis on its way up or down; the caller logs it, or shows it to a person. */
export type RedisNotice =
  | { readonly kind: 'unpacking'; readonly into: string }
  | { readonly kind: 'renewing'; readonly into: string }
  | { readonly kind: 'not-renewed'; readonly into: string; readonly why: string }
  | { readonly kind: 'unpacked'; readonly into: string; readonly tookMs: number }
  | { readonly kind: 'group-writable'; readonly thing: string; readonly path: string; readonly gid: number }
  | { readonly kind: 'starting'; readonly binary: ServerBinary; readonly directory: string }
  | { readonly kind: 'started'; readonly pid: number; readonly tookMs: number }
  | { readonly kind: 'adopted'; readonly pid: number }
  | { readonly kind: 'loading' }
  | { readonly kind: 'lost'; readonly pid: number }
  | { readonly kind: 'left-running'; readonly pid: number; readonly clients: number }
  | { readonly kind: 'left-behind'; readonly pid: number; readonly directory: string }
  | { readonly kind: 'stopped'; readonly pid: number };

/** One sentence for a log or a terminal. */
export function describeNotice(notice: RedisNotice): string {
  switch (notice.kind) {
    case 'unpacking':
      return `No redis-server or valkey-server on PATH: unpacking one into ${notice.into} (about 7 MB, once)`;
    case 'renewing':
      return `The redis-server in ${notice.into} is old, or has a known flaw: unpacking the distribution's current one`;
    case 'not-renewed':
      return `The redis-server in ${notice.into} could not be renewed and is used as it is (${notice.why}): tried again after a day`;
    case 'unpacked':
      return `Unpacked redis-server into ${notice.into} in ${notice.tookMs} ms`;
    case 'group-writable':
      return `${notice.thing} can be replaced by the members of group ${notice.gid}, who may write to ${notice.path}: chmod g-w ${notice.path}`;
    case 'starting':
      return `Starting ${notice.binary.path} ${notice.binary.version} in ${notice.directory}`;
    case 'started':
      return `Redis runs as process ${notice.pid} after ${notice.tookMs} ms`;
    case 'adopted':
      return `Using the Redis that already runs here as process ${notice.pid}`;
    case 'loading':
      return 'Redis is loading its data from disk; waiting for it';
    case 'lost':
      return `The connection to Redis (process ${notice.pid}) was lost`;
    case 'left-running':
      return `Redis (process ${notice.pid}) keeps running: connections of others: ${notice.clients}`;
    case 'left-behind':
      return `Redis (process ${notice.pid}) keeps running: its folder ${notice.directory} was moved. The next command that uses the new place stops it; or end it with kill ${notice.pid}`;
    case 'stopped':
      return `Redis (process ${notice.pid}) was stopped and its data is on disk`;
  }
}
