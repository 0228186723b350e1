/** What people do on the page, in their words. Works with the fixture and with a real server alike. */

export const VIEWS = ['chat', 'containers', 'topology', 'ledger', 'tools', 'host'];

export class Shell {
  /** @param {import('playwright-core').Page} page @param {string} url of the server, with its last slash */
  constructor(page, url) {
    this.page = page;
    this.url = url;
    this.chat = new Chat(page);
  }

  /** Opens a view, and waits until it has something to show. */
  async open(view = 'chat', path = '') {
    await this.page.goto(`${this.url}chat.html#/${view}${path ? `/${path}` : ''}`);
    await this.settled(view);
  }

  /** Goes to a view by its link. */
  async go(view) {
    await this.page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: view, exact: false }).click();
    await this.settled(view);
  }

  /** Has the page connect now, unless it has tried by itself meanwhile. */
  async reconnect() {
    await this.page.getByRole('button', { name: 'Try now' }).click({ timeout: 2000 }).catch(() => {});
    await this.page.getByText('No connection').waitFor({ state: 'hidden' });
  }

  async settled(view) {
    await this.page.locator(`op-${view.toLowerCase()}`).waitFor();
    await this.page.waitForFunction(() => ![...document.querySelectorAll('[role=status].empty')].some((each) => /…$/.test(each.textContent ?? '')));
  }
}

export class Chat {
  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.page = page;
    this.field = page.getByRole('combobox', { name: 'Message' });
    this.log = page.getByRole('log', { name: 'Conversation' });
  }

  async say(text) {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  /**
   * Says something, and gives what comes of it, also where the same was said before.
   * @param {string} text
   */
  async ask(text) {
    const own = this.page.locator('op-message:has(.message.user)');
    const before = await own.count();
    await this.say(text);
    return this.since(before);
  }

  /**
   * What came after a sentence of the user.
   * @param {number} at its number from 0
   */
  async since(at) {
    const own = this.page.locator('op-message:has(.message.user:not(.pending))').nth(at);
    await own.waitFor();
    const next = (/** @type {string} */ kind) => own.locator(`xpath=following::${kind}`).first();
    const tool = next('op-tool');
    return { plan: next('op-plan'), tool, answer: next('op-message'), done: () => tool.locator('.card.done').waitFor() };
  }

  /** The newest plan. */
  plan() {
    return this.page.locator('op-plan').last();
  }

  /** The newest call of a tool. */
  tool(title) {
    return this.page.locator('op-tool', title ? { has: this.page.getByRole('heading', { name: title }) } : {}).last();
  }

  /** The newest answer. */
  answer() {
    return this.page.locator('op-message:has(.message.assistant)').last();
  }

  async apply() {
    await this.plan().getByRole('button', { name: 'Apply' }).click();
  }

  /** Types the name that a destroying plan asks for. */
  async confirmByName(name) {
    const dialog = this.page.getByRole('dialog').last();
    await dialog.getByRole('textbox').fill(name);
    await dialog.locator('button[type=submit]').click();
  }
}
