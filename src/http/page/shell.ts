import type { Identity } from '../../app/identity.ts';
import { stopOf, type Stop } from '../../app/stop.ts';
import { mayDo } from '../../core/role.ts';
import type { Asked, Surroundings } from '../api.ts';
import { dialog, opener } from './actions.ts';
import { assetPath } from './assets.ts';
import { markup, NOTHING, time, type Markup } from './markup.ts';

/** What is around the content of every page. */
export interface Frame {
  readonly basePath: string;
  /** Absent if the caller is not known. */
  readonly who?: Identity;
  readonly stop?: Stop;
  /** The configuration wants a reason for each change. */
  readonly needsReason: boolean;
}

export interface Content {
  readonly title: string;
  /** Which of the links in the head leads here. */
  readonly section?: (typeof SECTIONS)[number]['path'];
  readonly body: Markup;
  /** What is on it is cheap to ask again and again. Else only what every page has is asked: a search is not made over and over. */
  readonly isLive?: true;
  /** What the buttons open. It stands beside what changes by itself, so that nobody's typing is lost. */
  readonly dialogs?: readonly Markup[];
}

const SECTIONS = [
  { path: '/', name: 'Overview' },
  { path: '/dead', name: 'Dead letters' },
  { path: '/schedules', name: 'Schedules' },
  { path: '/find', name: 'Find' },
  { path: '/audit', name: 'Audit' },
] as const;

/** @throws Redis' errors */
export async function frameOf(asked: Asked, { store }: Surroundings): Promise<Frame> {
  const { config } = store;
  const stop = await stopOf(store);
  const { basePath } = config.http;
  const needsReason = config.audit.requireReason;
  return { basePath, who: asked.get('who'), ...(stop !== undefined && { stop }), needsReason };
}

/** Whether the caller may control batches at all; the server refuses what it may not. */
export function mayControl({ who }: Frame): boolean {
  return who !== undefined && mayDo(who.role, 'control');
}

/** A page as a whole. */
export function pageOf(frame: Frame, { title, section, body, isLive, dialogs = [] }: Content): Markup {
  const { basePath, who } = frame;
  const links = SECTIONS.map(
    ({ path, name }) =>
      markup`<li><a href="${basePath}${path}"${path === section && markup` aria-current="page"`}>${name}</a></li>`,
  );
  const navigation = who !== undefined && markup`<nav aria-label="Pages"><ul>${links}</ul></nav>`;
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Certsweep</title>
<link rel="icon" href="${assetPath(basePath, 'icon.svg')}">
<link rel="stylesheet" href="${assetPath(basePath, 'uplot.css')}">
<link rel="stylesheet" href="${assetPath(basePath, 'page.css')}">
<script src="${assetPath(basePath, 'uplot.js')}" defer></script>
<script src="${assetPath(basePath, 'page.js')}" defer></script>
</head>
<body data-login="${basePath}/login"${isLive !== true && markup` data-follow="${basePath}/state"`}>
<a class="skip" href="#main">Skip to the content</a>
<header class="top"><div class="wide">
<a class="brand" href="${basePath}/"><img src="${assetPath(basePath, 'icon.svg')}" alt="" width="26" height="26">Certsweep</a>
${navigation}
${who !== undefined && markup`<div class="account"><div id="killswitch" data-live>${frame.stop === undefined && mayStopAll(frame) && opener('stop-all', 'Stop all calls', 'danger')}</div>${whoIs(frame, who)}</div>`}
</div></header>
<main id="main" class="wide" tabindex="-1">
<p id="connection" class="banner warning" role="status" hidden></p>
<p id="said" class="banner good" role="status" hidden></p>
${stopPart(frame)}
${body}
</main>
<div id="dialogs">${stopDialogs(frame)}${dialogs}</div>
</body>
</html>`;
}

function whoIs({ basePath }: Frame, { name, role, sha256 }: Identity): Markup {
  if (sha256 === undefined) return markup`<p class="who">Without tokens: anybody on this host may read</p>`;
  return markup`<form class="who" method="post" action="${basePath}/logout"><span>${name}<small>${role}</small></span><button class="quiet">Log out</button></form>`;
}

/** That the kill switch is set: louder than anything else. */
function stopPart(frame: Frame): Markup {
  const { stop, who } = frame;
  if (who === undefined) return NOTHING;
  if (stop === undefined) return markup`<div id="stop" data-live aria-live="assertive"></div>`;
  const why = stop.reason === null ? '' : `: ${stop.reason}`;
  return markup`<div id="stop" data-live aria-live="assertive"><section class="banner stopped" aria-label="Stopped"><h2>Every call of every account is stopped</h2><p>Since ${time(stop.since)}, by ${stop.requestedBy}${why}. Everything waits, and nothing is lost.</p>${mayStopAll(frame) && opener('start-all', 'Start all calls', 'plain')}</section></div>`;
}

function stopDialogs(frame: Frame): readonly Markup[] {
  if (!mayStopAll(frame)) return [];
  const { basePath, needsReason } = frame;
  return [
    dialog({
      id: 'stop-all',
      title: 'Stop every call of every account?',
      explain: markup`Two seconds later no call leaves, on any host. Everything waits where it is until somebody starts the calls again; nothing is lost.`,
      path: `${basePath}/v1/stop`,
      button: 'Stop all calls',
      isDanger: true,
      reason: 'optional',
      done: 'All calls are stopped.',
    }),
    dialog({
      id: 'start-all',
      title: 'Start calls again?',
      explain: markup`Running batches continue at once, where they stopped.`,
      path: `${basePath}/v1/start`,
      button: 'Start all calls',
      isDanger: true,
      reason: needsReason ? 'required' : 'optional',
      done: 'Calls continue.',
    }),
  ];
}

function mayStopAll(frame: Frame): boolean {
  return mayControl(frame) && frame.who?.accounts === undefined;
}
