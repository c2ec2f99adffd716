import { execFileSync } from 'node:child_process';

/** The commit that is measured, as a page names it; what is not committed is said. */
export function commitNow() {
  const commit = git('rev-parse', '--short', 'HEAD');
  return git('status', '--porcelain', '--', 'src') === '' ? commit : `${commit} with changes`;
}

function git(...args) {
  return execFileSync('git', args, { encoding: 'utf8' }).trim();
}
