// npm run docs:page: runs `certsweep demo --page` for real, looks at the page in Chromium while the batch runs, and writes docs/page.webp.
//
// Nothing is edited: what the picture shows is what the page showed. It needs Chromium: apt-get install chromium.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const TARGET = 'docs/page.webp';
const COUNT = 40_000;
/** Long enough for the chart to show something, and short enough that the batch still runs. */
const LOOK_AFTER_MS = 110_000;
const SIZE = { width: 1_180, height: 800 };
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'];

const folder = mkdtempSync(join(tmpdir(), 'certsweep-picture-'));
const demo = spawn(process.execPath, [resolve('dist/cli/main.js'), 'demo', '--page', '--count', String(COUNT)], {
  cwd: folder,
  stdio: ['ignore', 'ignore', 'pipe'],
});
const ended = once(demo, 'close');
try {
  const { url, token } = await pageOf(demo.stderr);
  const started = performance.now();
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  try {
    const page = await browser.newPage({ viewport: SIZE, colorScheme: 'light' });
    await page.goto(`${url}login`);
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await delay(LOOK_AFTER_MS - (performance.now() - started));
    await page.reload({ waitUntil: 'networkidle' });
    await page.locator('.plot canvas').last().waitFor();
    const session = await page.context().newCDPSession(page);
    const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 82 });
    const bytes = Buffer.from(data, 'base64');
    writeFileSync(TARGET, bytes);
    console.log(`${TARGET}: ${bytes.length} bytes`);
  } finally {
    await browser.close();
  }
} finally {
  demo.kill('SIGINT');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}

/** What the demo says of its page. */
async function pageOf(stream) {
  let said = '';
  for await (const chunk of stream.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += chunk;
    const [, url, token] = /(http:\S+\/)\s+log in with (cst_\S+)/.exec(said) ?? [];
    if (token !== undefined) {
      stream.resume();
      return { url, token };
    }
  }
  throw new Error(`the demo ended:\n${said}`);
}
