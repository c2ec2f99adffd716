// Compiles src/ to dist/, bundles the command, and copies what the page needs as it is. Removes the old output first, so that a file deleted from src/ cannot linger in a package.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { bundleCommand } from './bundle-command.mjs';

const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
rmSync('dist', { recursive: true, force: true });
execFileSync(process.execPath, [join(typescript, 'bin', 'tsc')], { stdio: 'inherit' });
await bundleCommand();
cpSync('src/http/page/static', 'dist/http/page/static', { recursive: true });
chmodSync('dist/cli/main.js', 0o755);
