import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Api } from '../api.ts';

interface Asset {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of its bytes: a new version has another address. */
  readonly digest: string;
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLES = 'text/css; charset=utf-8';
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0f6b5c"/><path d="M9 17l5 5 9-11" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/></svg>';

const require = createRequire(import.meta.url);
const ASSETS: readonly Asset[] = [
  asset('page.js', SCRIPT, readFileSync(new URL('static/page.js', import.meta.url))),
  asset('page.css', STYLES, readFileSync(new URL('static/page.css', import.meta.url))),
  asset('uplot.js', SCRIPT, readFileSync(beside('uPlot.iife.min.js'))),
  asset('uplot.css', STYLES, readFileSync(beside('uPlot.min.css'))),
  asset('icon.svg', 'image/svg+xml', Buffer.from(ICON)),
];

/** What pages are made with. Nothing in it is secret: the page for logging in needs it too. */
export function addAssets(api: Api): void {
  for (const { name, type, bytes, digest } of ASSETS) {
    api.get(`/assets/${name}`, (asked) => {
      const isCurrent = asked.req.query('v') === digest;
      const life = isCurrent ? 'public, max-age=31536000, immutable' : 'no-cache';
      return asked.body(bytes, 200, { 'content-type': type, 'cache-control': life });
    });
  }
}

/** Where a browser finds it. */
export function assetPath(basePath: string, name: string): string {
  const digest = ASSETS.find((one) => one.name === name)?.digest ?? '';
  return `${basePath}/assets/${name}?v=${digest}`;
}

function asset(name: string, type: string, buffer: Buffer): Asset {
  const digest = createHash('sha256').update(buffer).digest('base64url').slice(0, 12);
  return { name, type, bytes: new Uint8Array(buffer), digest };
}

/** The package says by itself what it exports, and these files are not in it. */
function beside(file: string): URL {
  return new URL(file, pathToFileURL(require.resolve('uplot')));
}
