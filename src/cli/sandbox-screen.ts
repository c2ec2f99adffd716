import { environment } from '../runtime/environment.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { Rate } from './text/rate.ts';
import { sandboxHappenings, sandboxLines, type SandboxNow } from './text/sandbox-lines.ts';
import { openScreen } from './screen.ts';

/** Codes and faults come by the hundred: how often the new ones are shown, milliseconds. */
const TELL_EVERY_MS = 1_000;

/** Shows on standard error what a sandbox sees. @returns what ends it, with the last numbers left in place */
export function showSandbox(sandbox: Sandbox, limits: SandboxNow['limits']): () => void {
  const rate = new Rate();
  const startedMs = performance.now();
  let before = sandbox.seen();
  let hasEnded = false;
  const now = (): SandboxNow => {
    const nowMs = performance.now();
    const seen = sandbox.seen();
    return {
      url: sandbox.url,
      upSeconds: (nowMs - startedMs) / 1_000,
      rate: rate.perSecond(seen.calls, nowMs),
      seen,
      registered: sandbox.registeredCount,
      limits,
      hasEnded,
    };
  };
  const screen = openScreen(process.stderr, (size) => sandboxLines(now(), size), environment['TERM']);
  const tell = (): void => {
    const seen = sandbox.seen();
    for (const happening of sandboxHappenings(before, seen, Date.now())) screen.happened(happening);
    before = seen;
  };
  const telling = setInterval(tell, TELL_EVERY_MS).unref();
  return () => {
    clearInterval(telling);
    tell();
    hasEnded = true;
    screen.close();
  };
}
