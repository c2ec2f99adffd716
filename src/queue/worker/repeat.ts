/** A task that is done again and again, never twice at once, until it is stopped. */
export interface Repeated {
  /** Ends the pause: the next round begins now, or right after the one that is under way. */
  soon(): void;
  /** Resolves when the round that is under way has ended. */
  stop(): Promise<void>;
}

/**
 * Does the task at once and then `ms` after each end.
 * @param onError - gets what a round throws; the next one comes anyway
 */
export function every(ms: number, task: () => Promise<unknown>, onError: (error: Error) => void): Repeated {
  const state = { isStopped: false };
  let isSoon = false;
  let endPause: () => void = () => undefined;
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const rounds = (async () => {
    while (!state.isStopped) {
      isSoon = false;
      try {
        await task();
      } catch (error) {
        onError(error instanceof Error ? error : new Error(String(error)));
      }
      if (!state.isStopped && !isSoon) await pause();
    }
  })();
  return {
    soon() {
      isSoon = true;
      endPause();
    },
    stop() {
      state.isStopped = true;
      endPause();
      return rounds;
    },
  };
}
