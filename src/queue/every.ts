/** A task that is done again and again, never twice at once, until it is stopped. */
export interface Repeated {
  /** Resolves when the round that is under way has ended. */
  stop(): Promise<void>;
}

/**
 * Does the task at once and then `ms` after each end.
 * @param onError - hears what a round throws; the next one comes all the same
 */
export function every(ms: number, task: () => Promise<unknown>, onError: (error: Error) => void): Repeated {
  const stopping = new AbortController();
  const { signal } = stopping;
  const rounds = (async () => {
    while (!signal.aborted) {
      try {
        await task();
      } catch (error) {
        onError(error instanceof Error ? error : new Error(String(error)));
      }
      await pause(ms, signal);
    }
  })();
  return {
    stop() {
      stopping.abort();
      return rounds;
    },
  };
}

/** Resolves after `ms`, or at once when the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
