/**
 * Lets one call at a time from its signature to the wire. Signing is most of the work: were all calls of one moment signed before the first is
 * written, the last would have grown late unseen, and at full load that was most of them.
 */
export class Turnstile {
  #last: Promise<void> = Promise.resolve();

  /** Waits for the turn, first come first served. @returns ends the turn; may be called again */
  async enter(): Promise<() => void> {
    const before = this.#last;
    const { promise, end } = openTurn();
    this.#last = promise;
    await before;
    return end;
  }
}

function openTurn(): { readonly promise: Promise<void>; readonly end: () => void } {
  let end = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { promise, end };
}
