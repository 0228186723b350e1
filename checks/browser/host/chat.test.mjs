/** What people say to a real host, and what comes of it: daemon, btrfs, Open vSwitch and LXC are those of the demo. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Shell } from '../pages.mjs';
import { launch, logIn, open } from '../rig.mjs';
import { Host } from './host.mjs';

const host = new Host();
let browser, storageState, session, page, shell, chat;
before(async () => {
  browser = await launch();
  storageState = await logIn(browser, host.link());
});
after(() => browser.close());
beforeEach(async () => {
  session = await open(browser, { storageState });
  ({ page } = session);
  shell = new Shell(page, host.url);
  ({ chat } = shell);
  await shell.open('chat');
});
afterEach(() => session.close());

test('“show me all containers” shows the containers', async () => {
  const { tool, answer, done } = await chat.ask('show me all containers');
  await done();
  assert.deepEqual(await tool.locator('tbody th').allTextContents(), ['db-01', 'web-01', 'web-02']);
  await answer.getByText('3 containers').waitFor();
});

test('“create container web-01 with socket networking” says that there is one', async () => {
  const { answer } = await chat.ask('create container web-01 with socket networking');
  await answer.getByText('there is a container web-01 already').waitFor();
});

test('“what containers were created yesterday?” searches the ledger', async () => {
  const yesterday = await chat.ask('what containers were created yesterday?');
  await yesterday.tool.getByText('Nothing to show').waitFor();
  const today = await chat.ask('what containers were created today?');
  await today.done();
  for (const name of ['db-01', 'web-01', 'web-02']) await today.tool.getByText(name, { exact: true }).first().waitFor();
});

test('“status of systemd services” shows units, or says why there are none', async () => {
  const { tool } = await chat.ask('status of systemd services');
  if (existsSync('/run/systemd/system')) await tool.locator('tbody th').filter({ hasText: '.service' }).first().waitFor();
  else await tool.getByText('the system bus cannot be reached').waitFor();
});

test('a container is asked for, planned, made, seen, found, and destroyed by its name', async (t) => {
  t.after(() => host.remove('web-03'));
  const { plan, tool, done } = await chat.ask('create container web-03 with socket networking');
  await plan.getByText('lxc/container:web-03').waitFor();
  assert.ok(!host.running().includes('web-03'), 'nothing is done before it is approved');
  await plan.getByRole('button', { name: 'Apply' }).click();
  await done();
  assert.ok(host.running().includes('web-03'));

  await shell.go('Topology');
  await page.getByRole('button', { name: 'web-03 container, running' }).waitFor();
  await shell.go('Containers');
  await page.getByRole('button', { name: 'Stop web-03' }).waitFor();
  await shell.go('Ledger');
  await page.getByRole('searchbox').fill('container web-03 created');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: /container_create.*web-03/ }).first().waitFor();
  await shell.go('Chat');
  await tool.getByRole('link', { name: /Ledger entry \d+/ }).click();
  await page.getByRole('heading', { name: /container_create web-03/ }).waitFor();
  await page.getByRole('button', { name: 'Prove it' }).click();
  await page.locator('.verdict.good').waitFor();

  await shell.go('Chat');
  const end = await chat.ask('destroy container web-03');
  await end.plan.getByRole('button', { name: 'Apply' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox').fill('web-02');
  assert.equal(await dialog.locator('button[type=submit]').isDisabled(), true);
  await chat.confirmByName('web-03');
  await end.done();
  assert.deepEqual(host.running(), ['db-01', 'web-01', 'web-02']);
});

test('plans are approved by keyboard alone', async (t) => {
  t.after(() => host.remove('web-04'));
  const said = await page.locator('op-message:has(.message.user)').count();
  await page.keyboard.type('create container web-04 with socket networking');
  await page.keyboard.press('Enter');
  const { plan, done } = await chat.since(said);
  await plan.getByText('lxc/container:web-04').waitFor();
  await reach('Apply');
  await page.keyboard.press('Enter');
  await done();
  assert.ok(host.running().includes('web-04'));
  await chat.field.focus();
  await page.keyboard.type('stop it');
  await page.keyboard.press('Enter');
  const stop = await chat.since(said + 1);
  await stop.plan.getByText('lxc/container:web-04').waitFor();
  await reach('Apply');
  await page.keyboard.press('Enter');
  await stop.done();
  assert.ok(!host.running().includes('web-04'));
});

/** Goes back by Tab until the newest button of that name has the focus. */
async function reach(name) {
  for (let presses = 0; presses < 10; presses += 1) {
    await page.keyboard.press('Shift+Tab');
    if (await page.evaluate(() => document.activeElement?.textContent) === name) return;
  }
  assert.fail(`${name} is not reached by Tab`);
}
