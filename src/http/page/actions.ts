import { markup, type Markup } from './markup.ts';

/** An action, and what is asked before it is done. It is sent to the API as any program sends it: whether it may be is judged there. */
export interface Deed {
  readonly id: string;
  readonly title: string;
  readonly explain: Markup;
  /** Of the API. */
  readonly path: string;
  readonly button: string;
  readonly isDanger: boolean;
  readonly reason: 'optional' | 'required';
  /** What the page says once it is done; `{letters}` is replaced by the number in the answer. */
  readonly done: string;
  /** Sent beside what is typed. */
  readonly fixed?: Readonly<Record<string, string | boolean>>;
  /** Has the API count first, and the number typed. */
  readonly counts?: boolean;
}

export type ButtonKind = 'plain' | 'danger';

/** The button that opens a dialog. */
export function opener(id: string, label: string, kind: ButtonKind): Markup {
  return markup`<button type="button" id="open-${id}" class="${kind}" data-opens="${id}" aria-haspopup="dialog">${label}</button>`;
}

export function dialog({ id, title, explain, path, button, isDanger, reason, done, fixed = {}, counts }: Deed): Markup {
  const isNeeded = reason === 'required';
  const number =
    counts === true &&
    markup`<p class="counted" data-counted role="status">Counting…</p><label>Type that number to confirm<input name="confirm" inputmode="numeric" pattern="[0-9, ]+" autocomplete="off" required></label>`;
  return markup`<dialog id="${id}" aria-labelledby="${id}-title">
<form data-deed="${path}" data-fixed="${JSON.stringify(fixed)}" data-done="${done}"${counts === true && markup` data-counts`}>
<h2 id="${id}-title">${title}</h2>
<p>${explain}</p>
${number}
<label>Reason${!isNeeded && markup` <small>(optional; kept on record)</small>`}<input name="reason" maxlength="1000" autocomplete="off"${isNeeded && markup` required`}></label>
<p class="fault" role="alert" hidden></p>
<p class="buttons"><button type="button" class="plain" data-closes>Back</button><button type="submit" class="${isDanger ? 'danger full' : 'primary'}">${button}</button></p>
</form>
</dialog>`;
}
