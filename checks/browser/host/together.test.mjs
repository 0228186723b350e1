/** Several browsers at one host, and a host whose daemon or web server is started anew. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Shell } from '../pages.mjs';
import { launch, logIn, open } from '../rig.mjs';
import { Host } from './host.mjs';

const host = new Host();
let browser, storageState;
before(async () => {
  browser = await launch();
  storageState = await logIn(browser, host.link());
});
after(() => browser.close());

async function begin(allow) {
  const session = await open(browser, { storageState, ...(allow && { allow }) });
  const shell = new Shell(session.page, host.url);
  await shell.open('chat');
  return { ...session, shell, chat: shell.chat };
}

/** The words of all messages, plans and calls, in order. */
const told = (page) => page.locator('op-message, op-plan, op-tool').allTextContents();

test('two browsers see the same, live', async () => {
  const [one, two] = [await begin(), await begin()];
  await two.shell.go('Containers');
  await two.page.getByRole('button', { name: 'Stop web-02' }).waitFor();
  await one.chat.say('stop container web-02');
  await one.chat.plan().getByRole('button', { name: 'Apply' }).waitFor();
  // The plan of the one is approved in the other.
  await two.shell.go('Chat');
  await two.chat.apply();
  await one.chat.plan().getByText('applied').waitFor();
  await one.chat.tool('Stop a container').getByText('done', { exact: true }).waitFor();
  await two.shell.go('Containers');
  await two.page.getByRole('button', { name: 'Start web-02' }).waitFor();
  // What is done elsewhere is seen too.
  host.agent('container', 'start', 'web-02');
  await two.page.getByRole('button', { name: 'Stop web-02' }).waitFor();
  await two.shell.go('Chat');
  assert.deepEqual(await told(one.page), await told(two.page));
  await one.close();
  await two.close();
});

test('the daemon is started anew, and the page goes on', async () => {
  const { page, shell, chat, close } = await begin();
  await chat.say('list containers');
  await chat.answer().getByText('3 containers').waitFor();
  const words = await host.stopDaemon();
  await chat.say('list containers');
  await page.locator('op-message, op-tool').last().getByText(/daemon/).first().waitFor();
  await host.startDaemon(words);
  const before = await page.locator('op-tool').count();
  await chat.say('list containers');
  await page.locator('op-tool').nth(before).getByText('done', { exact: true }).waitFor();
  await shell.go('Containers');
  await page.getByRole('button', { name: 'Stop web-01' }).waitFor();
  await close();
});

test('the web server is started anew: nothing is lost, and nothing done twice', async () => {
  // A connection that is refused is told by the browser.
  const { page, chat, close } = await begin(/WebSocket|ERR_CONNECTION/);
  await chat.say('show container web-01');
  await chat.tool().getByText('done', { exact: true }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('op-tool .card.running').length === 0);
  const before = await told(page);
  const words = await host.stopWeb();
  await page.getByText('No connection').waitFor();
  await chat.say('list containers');
  await page.getByText('sending…').waitFor();
  await host.startWeb(words);
  await page.getByRole('button', { name: 'Try now' }).click();
  await page.getByText('No connection').waitFor({ state: 'hidden' });
  await chat.answer().getByText('3 containers').waitFor();
  const now = await told(page);
  assert.deepEqual(now.slice(0, before.length), before);
  assert.equal(now.length, before.length + 3, 'a sentence, its call, and its answer');
  await page.reload();
  await chat.answer().getByText('3 containers').waitFor();
  assert.deepEqual((await told(page)).slice(-3), now.slice(-3), 'another page sees the same');
  await close();
});
