/** What is transferred until the chat can be used, packed as it is sent. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Fixture } from '../fixture.mjs';
import { Shell } from '../pages.mjs';
import { launch, open } from '../rig.mjs';

const MOST_BYTES = 100_000;
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('the first view weighs less than 100 kB', async (t) => {
  const fixture = await new Fixture().start();
  const { page, context, close } = await open(browser);
  const protocol = await context.newCDPSession(page);
  await protocol.send('Network.enable');
  let bytes = 0;
  let files = 0;
  protocol.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
    files += 1;
  });
  const shell = new Shell(page, fixture.url);
  await shell.open('chat');
  await page.waitForLoadState('networkidle');
  const first = bytes;
  t.diagnostic(`chat: ${(first / 1000).toFixed(1)} kB in ${files} files, headers included`);
  for (const view of ['Containers', 'Topology', 'Ledger', 'Tools', 'Host']) await shell.go(view);
  await page.waitForLoadState('networkidle');
  t.diagnostic(`all views: ${(bytes / 1000).toFixed(1)} kB in ${files} files and answers`);
  assert.ok(first < MOST_BYTES, `${first} bytes`);
  await close();
  await fixture.stop();
});
