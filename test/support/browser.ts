import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const INSTALL_WITHIN_MS = 300_000;

/** Where a browser is, installed first where that can be done; undefined where none can be had. */
export function browserPlace(): string | undefined {
  const found = PLACES.find((place) => existsSync(place));
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    try {
      for (const words of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']])
        execFileSync('/usr/bin/apt-get', ['-qq', ...words], { stdio: 'ignore', timeout: INSTALL_WITHIN_MS });
    } catch {
      // It is said below.
    }
  }
  const installed = PLACES.find((place) => existsSync(place));
  if (installed === undefined)
    process.stdout.write(
      '\nTHE PAGE IS NOT TESTED: there is no Chromium here. Install it: apt-get install chromium\n\n',
    );
  return installed;
}

export async function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: FLAGS });
}
