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

test('two browsers see the same, live', async (t) => {
  host.make('web-05');
  t.after(() => host.remove('web-05'));
  const [one, two] = [await begin(), await begin()];
  await two.shell.go('Containers');
  await two.page.getByRole('button', { name: 'Stop web-05' }).waitFor();
  const { plan, done } = await one.chat.ask('stop container web-05');
  await plan.getByRole('button', { name: 'Apply' }).waitFor();
  // The plan of the one is approved in the other.
  await two.shell.go('Chat');
  await two.chat.apply();
  await plan.getByText('applied').waitFor();
  await done();
  await two.shell.go('Containers');
  await two.page.getByRole('button', { name: 'Start web-05', exact: true }).waitFor();
  // What is done elsewhere is seen too.
  host.agent('container', 'start', 'web-05');
  await two.page.getByRole('button', { name: 'Stop web-05' }).waitFor();
  await two.shell.go('Chat');
  assert.deepEqual(await told(two.page), await told(one.page));
  await one.close();
  await two.close();
});

test('the daemon is started anew, and the page goes on', async () => {
  const { page, shell, chat, close } = await begin();
  await (await chat.ask('list containers')).done();
  const words = await host.stopDaemon();
  const away = await chat.ask('list containers');
  await away.tool.getByText('the daemon cannot be reached').waitFor();
  await host.startDaemon(words);
  await (await chat.ask('list containers')).done();
  await shell.go('Containers');
  await page.getByRole('button', { name: 'Stop web-01' }).waitFor();
  await close();
});

test('the web server is started anew: nothing is lost, and nothing done twice', async () => {
  // A connection that is refused is told by the browser.
  const { page, shell, chat, close } = await begin(/WebSocket|ERR_CONNECTION/);
  const first = await chat.ask('show container web-01');
  await first.answer.waitFor();
  const before = await told(page);
  const said = await page.locator('op-message:has(.message.user)').count();
  const words = await host.stopWeb();
  await page.getByText('No connection').waitFor();
  await chat.say('list containers');
  await page.getByText('sending…').waitFor();
  await host.startWeb(words);
  await shell.reconnect();
  const { answer } = await chat.since(said);
  await answer.getByText('3 containers').waitFor();
  const now = await told(page);
  assert.deepEqual(now.slice(0, before.length), before);
  assert.equal(now.length, before.length + 3, 'a sentence, its call, and its answer');
  await page.reload();
  await page.locator('op-message').last().getByText('3 containers').waitFor();
  assert.deepEqual((await told(page)).slice(-3), now.slice(-3), 'another page sees the same');
  await close();
});
