import { html } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import { printable } from '../../core/printable.ts';

/** Text that a browser may take for HTML: made by `markup` alone. */
export type Markup = HtmlEscapedString;

/** What may stand in a template. Text is escaped, and what is hidden in it becomes visible; of true, false and undefined nothing is shown. */
export type Shown = string | number | boolean | undefined | Markup | readonly Shown[];

/** HTML, safe by construction: whatever is put in is text, but for other markup. Attributes stand in double quotes. */
export function markup(parts: TemplateStringsArray, ...values: readonly Shown[]): Markup {
  // A promise would come only of one that was put in.
  return html(parts, ...values.map(visible)) as Markup;
}

function visible(value: Shown): unknown {
  if (typeof value === 'string') return printable(value);
  return Array.isArray(value) ? (value as readonly Shown[]).map(visible) : value;
}

/** No markup at all. */
export const NOTHING: Markup = markup``;

/** In UTC, as logs and the record have it: a reader may be in another time zone. @param at - Unix milliseconds, or ISO 8601 */
export function time(at: number | string): Markup {
  const iso = new Date(at).toISOString();
  const shown = `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
  return markup`<time datetime="${iso}">${shown}</time>`;
}

export interface Column<T> {
  readonly head: string;
  readonly cell: (row: T) => Shown;
  /** Stands to the right. */
  readonly isNumber?: boolean;
}

/** A table that becomes a list of cards where it is narrow. @param name - for who hears it */
export function table<T>(name: string, columns: readonly Column<T>[], rows: readonly T[]): Markup {
  const head = columns.map(
    ({ head: text, isNumber }) =>
      markup`<th scope="col" role="columnheader" class="${isNumber === true ? 'number' : 'text'}">${text}</th>`,
  );
  const body = rows.map((row) => {
    const cells = columns.map(
      ({ head: text, cell, isNumber }) =>
        markup`<td role="cell" data-label="${text}" class="${isNumber === true ? 'number' : 'text'}"><div>${cell(row)}</div></td>`,
    );
    return markup`<tr role="row">${cells}</tr>`;
  });
  return markup`<table role="table" aria-label="${name}"><thead role="rowgroup"><tr role="row">${head}</tr></thead><tbody role="rowgroup">${body}</tbody></table>`;
}
