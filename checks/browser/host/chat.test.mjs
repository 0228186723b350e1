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

/** Says something, and waits for its answer: the first of the kind after the sentence. */
async function answered(sentence, kind) {
  const said = await page.locator('op-message:has(.message.user)').count();
  await chat.say(sentence);
  const own = page.locator('op-message:has(.message.user)').nth(said);
  await own.getByText(sentence, { exact: true }).waitFor();
  return own.locator(`xpath=following::${kind}`).first();
}

test('“show me all containers” shows the containers', async () => {
  const card = await answered('show me all containers', 'op-tool');
  await card.getByText('done', { exact: true }).waitFor();
  assert.deepEqual(await card.locator('tbody th').allTextContents(), ['db-01', 'web-01', 'web-02']);
  await chat.answer().getByText('3 containers').waitFor();
});

test('“create container web-01 with socket networking” says that there is one', async () => {
  const answer = await answered('create container web-01 with socket networking', 'op-message');
  await answer.getByText('there is a container `web-01` already').waitFor();
});

test('“what containers were created yesterday?” searches the ledger', async () => {
  const yesterday = await answered('what containers were created yesterday?', 'op-tool');
  await yesterday.getByText('Nothing to show').waitFor();
  const today = await answered('what containers were created today?', 'op-tool');
  await today.getByText('done', { exact: true }).waitFor();
  for (const name of ['db-01', 'web-01', 'web-02']) await today.getByText(name, { exact: true }).first().waitFor();
});

test('“status of systemd services” shows units, or says why there are none', async () => {
  const card = await answered('status of systemd services', 'op-tool');
  if (existsSync('/run/systemd/system')) await card.locator('tbody th').filter({ hasText: '.service' }).first().waitFor();
  else await card.getByText('the system bus cannot be reached').waitFor();
});

test('a container is asked for, planned, made, seen, found, and destroyed by its name', async () => {
  const plan = await answered('create container web-03 with socket networking', 'op-plan');
  await plan.getByText('lxc/container:web-03').waitFor();
  assert.ok(!host.running().includes('web-03'), 'nothing is done before it is approved');
  await plan.getByRole('button', { name: 'Apply' }).click();
  const made = chat.tool('Create a container');
  await made.getByText('done', { exact: true }).waitFor();
  assert.ok(host.running().includes('web-03'));
  const entry = made.getByRole('link', { name: /Ledger entry \d+/ });

  await shell.go('Topology');
  await page.getByRole('button', { name: 'web-03 container, running' }).waitFor();
  await shell.go('Containers');
  await page.getByRole('button', { name: 'Stop web-03' }).waitFor();
  await shell.go('Ledger');
  await page.getByRole('searchbox').fill('container web-03 created');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: /container_create.*web-03/ }).first().waitFor();
  await shell.go('Chat');
  await entry.click();
  await page.getByRole('heading', { name: /container_create web-03/ }).waitFor();
  await page.getByRole('button', { name: 'Prove it' }).click();
  await page.locator('.verdict.good').waitFor();

  await shell.go('Chat');
  const end = await answered('destroy container web-03', 'op-plan');
  await end.getByRole('button', { name: 'Apply' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox').fill('web-02');
  assert.equal(await dialog.locator('button[type=submit]').isDisabled(), true);
  await chat.confirmByName('web-03');
  await chat.tool('Destroy a container').getByText('done', { exact: true }).waitFor();
  assert.deepEqual(host.running(), ['db-01', 'web-01', 'web-02']);
});

test('a plan is approved by keyboard alone', async () => {
  await page.keyboard.type('stop container web-02');
  await page.keyboard.press('Enter');
  await page.locator('op-plan').last().getByText('lxc/container:web-02').waitFor();
  await reach('Apply');
  await page.keyboard.press('Enter');
  await chat.tool('Stop a container').getByText('done', { exact: true }).waitFor();
  assert.ok(!host.running().includes('web-02'));
  await chat.field.focus();
  await page.keyboard.type('start it');
  await page.keyboard.press('Enter');
  await page.locator('op-plan').last().getByText('start').first().waitFor();
  await reach('Apply');
  await page.keyboard.press('Enter');
  await chat.tool('Start a container').getByText('done', { exact: true }).waitFor();
  assert.ok(host.running().includes('web-02'));
});

/** Goes back by Tab until the newest button of that name has the focus. */
async function reach(name) {
  for (let presses = 0; presses < 10; presses += 1) {
    await page.keyboard.press('Shift+Tab');
    if (await page.evaluate(() => document.activeElement?.textContent) === name) return;
  }
  assert.fail(`${name} is not reached by Tab`);
}
