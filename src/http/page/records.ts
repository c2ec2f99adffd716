import { count, groupDigits } from '../../core/counting.ts';
import type { AuditEntry, AuditPage } from '../../app/audit.ts';
import type { DeviceSearch, FoundDevice } from '../../app/find.ts';
import { linkTo, outcomeBadge } from './batch-figures.ts';
import { markup, table, time, type Markup } from './markup.ts';
import type { Content } from './shell.ts';

/** What became of a device. @param search - absent while nobody has asked */
export function findPageOf(basePath: string, deviceSn: string, search?: DeviceSearch): Content {
  const body = markup`<h1>Find a certificate</h1>
<form class="filter panel" method="get" action="${basePath}/find" role="search" aria-label="Find">
<label>Serial number of the device<input name="deviceSn" value="${deviceSn}" maxlength="128" autocomplete="off" spellcheck="false" required></label>
<button class="primary">Find</button>
</form>
${search !== undefined && result(basePath, deviceSn, search)}`;
  return { title: 'Find a certificate', section: '/find', body };
}

function result(basePath: string, deviceSn: string, { found, batches, notWhole, forgotten }: DeviceSearch): Markup {
  const lost =
    notWhole.length > 0 &&
    markup`<p class="banner warning"><span><b>Redis has lost part of ${count(notWhole.length, 'batch', 'batches')}</b>: ${notWhole.map(({ batch }) => batch).join(', ')}. The device may have been in it.</span></p>`;
  const rows =
    found.length === 0
      ? markup`<p class="empty">No batch has <code>${deviceSn}</code>.</p>`
      : table<FoundDevice>(
          'Where it was found',
          [
            {
              head: 'Batch',
              cell: ({ batch, n }) => markup`${linkTo(basePath, batch)}<small>item ${groupDigits(n)}</small>`,
            },
            {
              head: 'Outcome',
              cell: ({ outcome }) => outcomeBadge(outcome),
            },
            { head: 'Code', cell: ({ code }) => (code === null || code === '' ? '–' : markup`<code>${code}</code>`) },
            {
              head: 'Certificate',
              cell: ({ certificate: { instanceId, caSn } }) => markup`${instanceId}<small>CA ${caSn}</small>`,
            },
            { head: 'Settled', cell: ({ settledAt }) => (settledAt === null ? '–' : time(settledAt)) },
            {
              head: 'Who and why',
              cell: ({ requestedBy, reason }) => markup`${requestedBy ?? '–'}<small>${reason ?? ''}</small>`,
            },
          ],
          found,
        );
  const searched = `${count(batches, 'batch', 'batches')} searched${forgotten > 0 ? `; ${count(forgotten, 'batch was', 'batches were')} forgotten, with what was in them` : ''}.`;
  return markup`${lost}<section aria-labelledby="found-head"><h2 id="found-head">${count(found.length, 'place')} <small>${searched}</small></h2><div class="panel">${rows}</div></section>`;
}

/** Who changed what, when and why. */
export function auditPageOf(
  basePath: string,
  filter: { readonly batch?: string; readonly since?: string },
  { entries, next }: AuditPage,
): Content {
  const query = next === undefined ? undefined : new URLSearchParams({ ...filter, cursor: next }).toString();
  const rows =
    entries.length === 0
      ? markup`<p class="empty">Nothing is on record here.</p>`
      : table<AuditEntry>(
          'Audit record',
          [
            { head: 'No.', isNumber: true, cell: ({ seq }) => String(seq) },
            { head: 'When', cell: ({ at }) => time(at) },
            { head: 'What', cell: ({ event }) => markup`<code>${event}</code>` },
            { head: 'Batch', cell: ({ batch }) => (batch === null ? '–' : linkTo(basePath, batch)) },
            {
              head: 'Who',
              cell: ({ requestedBy, user, host }) =>
                markup`${requestedBy ?? '–'}<small>process of ${user} on ${host}</small>`,
            },
            { head: 'Why', cell: ({ reason }) => reason ?? '–' },
          ],
          entries,
        );
  const body = markup`<h1>Audit record</h1>
<form class="filter panel" method="get" action="${basePath}/audit" role="search" aria-label="Filter">
<label>Batch<input name="batch" value="${filter.batch ?? ''}" autocomplete="off" spellcheck="false"></label>
<label>Since <small>a day, in UTC</small><input type="date" name="since" value="${filter.since ?? ''}"></label>
<button class="primary">Filter</button><a href="${basePath}/audit">Show all</a>
</form>
<section aria-labelledby="entries-head"><h2 id="entries-head">Entries <small>the oldest first; certsweep audit --verify proves that none was changed</small></h2><div class="panel">${rows}</div></section>
${query !== undefined && markup`<p class="more"><a href="${basePath}/audit?${query}">Later entries</a></p>`}`;
  return { title: 'Audit record', section: '/audit', body };
}
