/** The signals that ask a process to leave. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
export type LeaveSignal = (typeof SIGNALS)[number];

/** Exit codes by convention: 128 and the signal's number. */
export const INTERRUPTED_EXIT = 130;
const EXITS: Readonly<Record<LeaveSignal, number>> = { SIGHUP: 129, SIGINT: INTERRUPTED_EXIT, SIGTERM: 143 };

/**
 * Resolves with the first signal. A second one leaves at once, whatever is under way: what is lost then is taken up by another process.
 * @returns `wait`, and `forget` for when the process no longer needs to be told
 */
export function onLeaveSignal(): { readonly wait: Promise<LeaveSignal>; forget(): void } {
  const forgets: (() => void)[] = [];
  const wait = new Promise<LeaveSignal>((resolve) => {
    let isSecond = false;
    for (const signal of SIGNALS) {
      const heard = (): void => {
        if (isSecond) process.exit(EXITS[signal]);
        isSecond = true;
        resolve(signal);
      };
      process.on(signal, heard);
      forgets.push(() => process.off(signal, heard));
    }
  });
  return {
    wait,
    forget() {
      for (const forget of forgets) forget();
    },
  };
}
