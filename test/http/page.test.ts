import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPlace } from '../support/browser.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { askFor } from './http-room.ts';
import { expectAccessible, openPageRoom, type Page, type PageRoom } from './page-room.ts';

const chromium = browserPlace();
/** What a person may have written to harm who reads it. */
const HOSTILE = '<img src=x onerror=alert(1)>\u202Egnp"';

describe.skipIf(chromium === undefined)('the page in a browser', () => {
  let room: PageRoom;
  let operator: Page;
  beforeAll(async () => {
    room = await openPageRoom(chromium ?? '');
    operator = await room.enter('operator');
  });
  afterAll(() => room.remove());

  const dialog = (page: Page) => page.locator('dialog[open]');

  it('turns a wrong token away, and says so', async () => {
    const page = await operator.context().browser()?.newPage();
    if (page === undefined) throw new Error('no browser');
    await page.goto(`${room.url}/batches/none`);
    expect(page.url()).toBe(`${room.url}/login`);
    await page.getByLabel('Token').fill(`cst_${'x'.repeat(43)}`);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('This token is unknown.').waitFor();
    await expectAccessible(page, '/login');
    await page.close();
  });

  it('shows how a batch runs, pauses it, and resumes it', async () => {
    const batch = await room.submit(certificates(3_000, 1), '--requested-by', 'olga', '--reason', HOSTILE);
    await operator.goto(`${room.url}/`);
    await operator.getByRole('link', { name: batch }).first().click();
    await operator.getByText(HOSTILE.replace('\u202E', String.raw`\u{202e}`)).waitFor();
    const settled = operator.locator('#progress .line b');
    const first = await settled.textContent();
    await expect.poll(() => settled.textContent()).not.toBe(first);
    await operator.locator('.plot canvas').waitFor();
    await operator.getByRole('button', { name: 'Pause' }).click();
    await dialog(operator).getByLabel('Reason').fill('a look first');
    await dialog(operator).getByRole('button', { name: 'Pause' }).click();
    await operator.getByText('The batch is paused.').waitFor();
    await operator.getByRole('button', { name: 'Resume' }).waitFor();
    expect(await room.until(batch, () => true)).toMatchObject({ state: 'paused' });
    // By keyboard alone.
    await operator.getByRole('button', { name: 'Resume' }).focus();
    await operator.keyboard.press('Enter');
    await dialog(operator).waitFor();
    await operator.keyboard.press('Tab');
    await operator.keyboard.press('Tab');
    await operator.keyboard.press('Enter');
    await operator.getByText('The batch continues.').waitFor();
    await room.until(batch, ({ state }) => state !== 'paused');
    await operator.getByRole('button', { name: 'Cancel' }).click();
    await dialog(operator).getByRole('button', { name: 'Cancel the batch' }).click();
    await operator.getByText('The batch is cancelled.').waitFor();
    expect((await room.until(batch, () => true)).state).toBe('cancelled');
  });

  it('retries dead letters by filter once their number is typed, and keeps the filter', async () => {
    const batch = await room.submit(certificates(12, 77));
    await room.settled(batch);
    const codes = async (): Promise<string[]> => {
      await operator.goto(`${room.url}/batches/${batch}`);
      return operator.locator('#codes tbody tr').allInnerTexts();
    };
    expect((await codes()).join()).toMatch(/^dead\s+ParameterFieldCheckFailed\s+12$/);
    await operator.goto(`${room.url}/dead?batch=${batch}`);
    await operator.getByRole('link', { name: 'ParameterFieldCheckFailed' }).click();
    const filtered = operator.url();
    expect(new URL(filtered).search).toBe(`?batch=${batch}&code=ParameterFieldCheckFailed`);
    await operator.getByRole('button', { name: 'Retry these' }).click();
    await dialog(operator).getByText('12 dead letters.').waitFor();
    await dialog(operator).getByLabel('Type that number').fill('11');
    await dialog(operator).getByRole('button', { name: 'Retry' }).click();
    await dialog(operator).getByRole('alert').filter({ hasText: '12' }).waitFor();
    expect((await room.until(batch, () => true)).dead).toBe(12);
    await dialog(operator).getByLabel('Type that number').fill('12');
    await dialog(operator).getByRole('button', { name: 'Retry' }).click();
    await operator.getByText('12 dead letters will be tried again.').waitFor();
    await operator.getByText('No dead letter matches.').waitFor();
    expect(operator.url()).toBe(filtered);
    expect(await room.settled(batch)).toMatchObject({ revoked: 12, dead: 0 });
    // What was read before counts no longer.
    expect((await codes()).join()).toMatch(/^revoked\s+OK\s+12$/);
  });

  it('has somebody else approve a large batch', async () => {
    const submitted = await askFor(`${room.url}/v1/batches?execute=true&confirm=5001`, {
      as: 'producer',
      method: 'POST',
      body: manifestOf(certificates(5_001, 3)),
      headers: { 'content-type': 'text/csv' },
    });
    const batch = String(submitted.json['batch']);
    const approver = await room.enter('approver');
    await approver.getByText('awaits approval').first().waitFor();
    await approver.getByText('Schedule yearly is paused.').waitFor();
    await approver.goto(`${room.url}/batches/${batch}`);
    await approver.getByRole('button', { name: 'Approve' }).click();
    await dialog(approver)
      .getByText(/[0-9a-f]{64}/)
      .waitFor();
    await dialog(approver).getByRole('button', { name: 'Approve' }).click();
    await approver.getByText('The batch is approved and runs.').waitFor();
    expect((await room.until(batch, () => true)).state).toBe('running');
    // It would keep the worker and every page busy to the end.
    await room.run(['cancel', batch]);
    expect(await approver.getByRole('button', { name: /Pause|Cancel|Stop/ }).count()).toBe(0);
    await approver.context().close();
  });

  it('stops every call, says so on each page, and starts again', async () => {
    await operator.goto(`${room.url}/find`);
    const other = await operator.context().newPage();
    await other.goto(`${room.url}/dead`);
    await operator.getByRole('button', { name: 'Stop all calls' }).click();
    await dialog(operator).getByLabel('Reason').fill('wrong fleet');
    await dialog(operator).getByRole('button', { name: 'Stop all calls' }).click();
    await operator.getByRole('heading', { name: 'Every call of every account is stopped' }).waitFor();
    await other.getByRole('heading', { name: 'Every call of every account is stopped' }).waitFor();
    await other.close();
    const seen = await askFor(`${room.url}/v1/accounts`, { as: 'viewer' });
    expect(seen.json['stopped']).toMatchObject({ requestedBy: 'operator', reason: 'wrong fleet' });
    await operator.goto(`${room.url}/`);
    await expectAccessible(operator, 'a page while all is stopped');
    await operator.getByRole('button', { name: 'Start all calls' }).click();
    await expectAccessible(operator, 'a dialog');
    await dialog(operator).getByRole('button', { name: 'Start all calls' }).click();
    await operator.getByText('Calls continue.').waitFor();
    expect((await askFor(`${room.url}/v1/accounts`, { as: 'viewer' })).json['stopped']).toBeNull();
  });

  it('refuses what a page of another site sends, with the cookie or without', async () => {
    const place = await room.stranger(
      `<form method="post" action="${room.url}/v1/stop" enctype="text/plain"><input name="{}"><button>win</button></form>`,
    );
    const page = await operator.context().newPage();
    await page.goto(place);
    const [answer] = await Promise.all([
      page.waitForResponse(`${room.url}/v1/stop`),
      page.getByRole('button', { name: 'win' }).click(),
    ]);
    const headers = await answer.request().allHeaders();
    // A browser takes another port for the same site, and adds the cookie.
    expect(headers['cookie']).toContain('certsweep_session');
    expect(answer.status()).toBe(403);
    expect((await askFor(`${room.url}/v1/accounts`, { as: 'viewer' })).json['stopped']).toBeNull();
    await page.close();
  });

  it('has nothing to do for a viewer, and reads well: light, dark and narrow', async () => {
    const { json } = await askFor(`${room.url}/v1/batches`, { as: 'viewer' });
    const batches = json['batches'] as { batch: string; state: string; accepted: number }[];
    const ran = batches.find(({ state, accepted }) => state === 'cancelled' && accepted === 3_000);
    const how = ['--action', 'retire', '--soak', '30d', '--priority', 'urgent'];
    const retiring = await room.submit(certificates(20, 9), ...how);
    await room.until(retiring, ({ phase }) => phase === 'soaking');
    const viewer = await room.enter('viewer');
    const sees = async (path: string): Promise<void> => {
      await viewer.goto(`${room.url}${path}`);
      for (const width of [1280, 360]) {
        await viewer.setViewportSize({ width, height: 800 });
        await viewer.emulateMedia({ colorScheme: 'light' });
        await expectAccessible(viewer, `${path} light ${width}`);
        await viewer.emulateMedia({ colorScheme: 'dark' });
        await expectAccessible(viewer, `${path} dark ${width}`, 'color-contrast');
      }
    };
    const device = certificates(1, 9)[0]?.deviceSn;
    const details = [ran?.batch, retiring].map((batch) => `/batches/${batch}`);
    for (const path of ['/', ...details, '/dead', `/find?deviceSn=${device}`, '/audit', '/schedules', '/nowhere']) {
      await sees(path);
      const buttons = await viewer.getByRole('button').allTextContents();
      expect(buttons.filter((text) => !['Log out', 'Filter', 'Find'].includes(text))).toEqual([]);
      expect(await viewer.locator('dialog, [data-deed]').count()).toBe(0);
    }
    await viewer.goto(`${room.url}/batches/${retiring}`);
    expect(await viewer.locator('.phases [aria-current=step]').textContent()).toMatch(/^soaking until /);
    await viewer.getByRole('button', { name: 'Log out' }).click();
    await sees('/login');
    await viewer.context().close();
  });

  it('ends the session when somebody logs out', async () => {
    await operator.getByRole('button', { name: 'Log out' }).click();
    await operator.waitForURL(`${room.url}/login`);
    await operator.goto(`${room.url}/audit`);
    expect(operator.url()).toBe(`${room.url}/login`);
  });

  it('was answered by both processes, and broke no policy', () => {
    expect(Math.min(...room.answered)).toBeGreaterThan(20);
    expect(room.complaints).toEqual([]);
  });
});
