/** Who may look only, and whatever the host has of markup in its names and words. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Shell, VIEWS } from '../pages.mjs';
import { launch, logIn, open } from '../rig.mjs';
import { Host } from './host.mjs';

const host = new Host();
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('a viewer sees no plan of others, and is refused what goes around the page', async () => {
  const [admin, viewer] = [await begin('admin'), await begin('viewer', /403/)];
  const { plan } = await admin.chat.ask('stop container web-02');
  await plan.waitFor();
  assert.equal(await viewer.page.locator('op-plan').count(), 0);
  const number = (await plan.textContent()).match(/P\d+/)[0];
  const [posted, told] = await viewer.page.evaluate(async (number) => {
    const post = await fetch('/api/tools/container_stop', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ arguments: { name: 'web-02' } }) });
    const socket = new WebSocket('/ws');
    const refused = new Promise((resolve) => {
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === 'error') resolve(event.message);
      };
    });
    socket.onopen = () => socket.send(JSON.stringify({ type: 'approve', plan: number }));
    return [post.status, await refused];
  }, number);
  assert.equal(posted, 403);
  assert.match(told, /plan/);
  await viewer.shell.go('Containers');
  await viewer.page.getByRole('link', { name: 'web-02' }).waitFor();
  assert.equal(await viewer.page.getByRole('button', { name: /Start|Stop|Restart|Create/ }).count(), 0);
  assert.ok(host.running().includes('web-02'));
  await viewer.close();
  // A plan that waits would end with the server, which another test starts anew.
  await plan.getByRole('button', { name: 'Cancel' }).click();
  await plan.getByText('cancelled').waitFor();
  await admin.close();
});

const MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';

/** What fails if markup became more than text. */
const sound = async (page, where) => {
  const found = await page.evaluate(() => ({ pwned: window.pwned, foreign: document.querySelectorAll('img:not([src="icon.svg"]), script:not([src]), iframe, object, [onerror], [onclick]').length }));
  assert.deepEqual(found, { pwned: undefined, foreign: 0 }, where);
};

test('markup in what is said, done and written down stays text', async (t) => {
  t.after(() => host.agent('snapshot', 'delete', 'marked'));
  host.agent('snapshot', 'create', 'marked', '@state', '--reason', MARKUP);
  const { page, shell, chat, close } = await begin('admin', /404|422/);
  await chat.say(`show container ${MARKUP}`);
  await page.locator('op-message:has(.message.user)').last().getByText('onerror').waitFor();
  await chat.say('list snapshots');
  await page.locator('op-tool').last().getByText('onerror').first().waitFor({ state: 'attached' });
  await sound(page, 'chat');
  await shell.go('Ledger');
  await page.getByText('Snapshot marked').first().waitFor();
  await page.getByRole('searchbox').fill('img src onerror');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: /snapshot_create.*marked/ }).first().click();
  await page.locator('op-ledger').getByText('onerror').first().waitFor();
  await sound(page, 'entry');
  for (const view of VIEWS) {
    await shell.open(view);
    await sound(page, view);
  }
  await shell.open('containers', encodeURIComponent(MARKUP));
  await sound(page, 'container that is not there');
  await close();
});

test('markup in the journal stays text', async (t) => {
  if (!process.env.DEMO_JOURNAL) return t.skip('systemd-journald is missing');
  await host.log('web-01', MARKUP);
  const { page, shell, chat, close } = await begin('viewer');
  await shell.open('containers', 'web-01');
  await page.locator('.journal').getByText(MARKUP).waitFor();
  await sound(page, 'journal of a container');
  await shell.go('Chat');
  await chat.say('show the journal');
  await page.locator('op-tool').last().getByText(MARKUP).first().waitFor({ state: 'attached' });
  await sound(page, 'journal in the chat');
  await close();
});

async function begin(role, allow) {
  const storageState = await logIn(browser, host.link(role));
  const session = await open(browser, { storageState, ...(allow && { allow }) });
  const shell = new Shell(session.page, host.url);
  await shell.open('chat');
  return { ...session, shell, chat: shell.chat };
}
