/** A browser for tests: whatever a page does that it must not (errors, refusals of its policy) fails the test. */
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

export const SIZES = { tiny: { width: 320, height: 568 }, phone: { width: 360, height: 740 }, tablet: { width: 768, height: 1024 }, desk: { width: 1280, height: 800 } };

/** Debian's Chromium, or the one in BROWSER. It runs as root in a container, which its own sandbox does not. */
export function launch() {
  return chromium.launch({ executablePath: process.env.BROWSER ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'] });
}

/**
 * Logs in at a real server; what it gives is the `storageState` of pages that share the session, since a link is good once.
 * @param {import('playwright-core').Browser} browser
 * @param {string} link
 */
export async function logIn(browser, link) {
  const { page, context } = await open(browser, { allow: /./ });
  await page.goto(link);
  await page.waitForURL(/chat\.html/);
  const state = await context.storageState();
  await context.close();
  return state;
}

/**
 * Opens a page of its own session.
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions & {allow?: RegExp}} [options] `allow`: messages of the console that are no fault
 */
export async function open(browser, { allow, ...options } = {}) {
  const context = await browser.newContext({ viewport: SIZES.desk, locale: 'en-GB', ...options });
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !allow?.test(message.text())) faults.push(message.text());
  });
  // Machines that compile something else meanwhile are slow.
  page.setDefaultTimeout(30_000);
  return {
    page, context, faults,
    /** Ends it, and fails if the page did something wrong. */
    async close() {
      await context.close();
      assert.deepEqual(faults, []);
    },
  };
}
