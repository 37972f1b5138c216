// A headless Chromium, and pages of other origins for it.
import {createServer} from 'node:http';
import {chromium} from 'playwright-core';

/** launch starts the browser that HOLDFAST_CHROMIUM names. The host app.test is this machine for it. */
export function launch() {
  const sandbox = process.getuid() === 0 ? ['--no-sandbox'] : []; // the sandbox refuses root
  return chromium.launch({
    executablePath: process.env.HOLDFAST_CHROMIUM,
    args: ['--host-resolver-rules=MAP app.test 127.0.0.1', ...sandbox],
  });
}

/** newPage opens a page in a context of its own for the time of the test t. page.complaints is what its console says is wrong. */
export async function newPage(t, browser, options = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', m => { if (['error', 'warning'].includes(m.type())) page.complaints.push(m.text()); });
  page.on('pageerror', e => page.complaints.push(String(e)));
  return page;
}

/** serveEmptyPage serves an empty page, for the time of the test t, and gives the port. */
export async function serveEmptyPage(t) {
  const server = createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>another origin</title><link rel="icon" href="data:,">');
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  t.after(() => { server.closeAllConnections(); return new Promise(resolve => server.close(resolve)); });
  return server.address().port;
}
