/**
 * Pictures of the page for the documentation, each below 120 kB:
 *
 *   node screenshots.mjs [DIRECTORY]
 *
 * OPDBUS_URL   a login link of a server; without it the demo that DEMO_BASE names
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Host } from './host/host.mjs';
import { SIZES, launch, logIn, open } from './rig.mjs';
import { Shell } from './pages.mjs';

const MOST_BYTES = 120_000;
const into = process.argv[2] ?? fileURLToPath(new URL('../../docs/images/', import.meta.url));
mkdirSync(into, { recursive: true });
const link = process.env.OPDBUS_URL ?? new Host().link();
const url = new URL('./', link.split('#')[0]).href;
const browser = await launch();

/** Takes one picture; it is made smaller where `cwebp` is. */
async function picture(page, name) {
  const png = join(into, `${name}.png`);
  await page.screenshot({ path: png });
  const webp = join(into, `${name}.webp`);
  execFileSync('cwebp', ['-quiet', '-q', '82', png, '-o', webp]);
  rmSync(png);
  const { size } = statSync(webp);
  if (size > MOST_BYTES) throw new Error(`${webp} has ${size} bytes, and ${MOST_BYTES} is the most`);
  console.log(`${webp} ${size}`);
}

async function tour(size, colorScheme, suffix, views) {
  const { page, close } = await open(browser, { viewport: SIZES[size], colorScheme, deviceScaleFactor: size === 'phone' ? 2 : 1, storageState: state });
  const shell = new Shell(page, url);
  await shell.open('chat');
  if (!said) {
    said = true;
    await (await shell.chat.ask('show me all containers')).answer.waitFor();
    await shell.chat.ask('create container web-03 with socket networking');
  }
  await shell.chat.plan().getByText('web-03').first().waitFor();
  await picture(page, `chat-${suffix}`);
  for (const view of views) {
    await shell.open(view);
    // Its plots take some values.
    if (view === 'host') await page.waitForFunction(() => document.querySelector('svg.plot'));
    await page.waitForTimeout(view === 'host' ? 8000 : 200);
    await picture(page, `${view}-${suffix}`);
  }
  await close();
}

const state = await logIn(browser, link);
let said = false;
await tour('desk', 'light', 'light', ['containers', 'topology', 'ledger', 'tools', 'host']);
await tour('desk', 'dark', 'dark', ['topology']);
await tour('phone', 'light', 'phone', ['topology']);
await browser.close();
