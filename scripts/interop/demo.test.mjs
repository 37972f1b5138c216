// The page that pushd serves at "/", in Chromium.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {after, before, test} from 'node:test';
import {promisify} from 'node:util';
import {launch, newPage} from './browser.mjs';
import {Pushd, patience, token, tokenKey, until} from './pushd.mjs';
import {Relay} from './relay.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// visit opens the demo page and waits until it is connected.
async function visit(t, url, options) {
  const page = await newPage(t, browser, options);
  page.setDefaultTimeout(patience);
  page.response = await page.goto(url);
  await state(page, 'open');
  return page;
}

const state = (page, want) => page.locator(`#state[data-state=${want}]`).waitFor();
const logged = (page, kind, text) => page.locator(`#log li.${kind} .text`).getByText(text, {exact: true}).waitFor();
const texts = (page, kind) => page.locator(`#log li.${kind} .text`).allTextContents();

test('the page loads under its policy and complains about nothing', async t => {
  const pushd = await Pushd.start(t);
  const page = await visit(t, pushd.url + '/');
  assert.match(page.response.headers()['content-type'], /^text\/html/);
  const policy = page.response.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'.*script-src 'sha256-/);
  assert.doesNotMatch(policy, /unsafe/);
  const blocked = await page.evaluate(() => new Promise(resolve => { // the policy is in force
    document.addEventListener('securitypolicyviolation', e => resolve(e.effectiveDirective));
    const image = document.createElement('img');
    image.src = '/picture';
    document.body.append(image);
  }));
  assert.equal(blocked, 'img-src');
  assert.equal(page.complaints.filter(c => !c.includes('/picture')).join('\n'), '');
});

for (const [transport, label] of [['events', 'EventSource'], ['ws', 'WebSocket'], ['poll', 'Long poll']]) {
  test(`messages over ${label}`, async t => {
    const pushd = await Pushd.start(t);
    const page = await visit(t, pushd.url + '/');
    await page.getByLabel(label).check();
    await state(page, 'open');
    const hostile = '<img src=x onerror=alert(1)> & grüße';
    await pushd.deliver('--no-eol', '--id', 'm-7', 'test', hostile);
    await logged(page, 'message', hostile);
    assert.equal(await page.locator('#log img').count(), 0);
    assert.equal(await page.locator('#last-id').textContent(), transport === 'ws' ? 'none' : 'm-7');
    await pushd.deliver('--no-eol', 'test', 'a second one');
    await logged(page, 'message', 'a second one');
    assert.equal(await page.locator('#messages').textContent(), '2');
    assert.equal(await page.locator('#gaps').textContent(), '0');
    await page.reload(); // the address keeps the choice
    await state(page, 'open');
    assert.ok(await page.getByLabel(label).isChecked());
    await pushd.deliver('--no-eol', 'test', 'after the reload');
    await logged(page, 'message', 'after the reload');
    assert.deepEqual(page.complaints, []);
  });
}

test('binary messages are shown as bytes', async t => {
  const pushd = await Pushd.start(t);
  const page = await visit(t, pushd.url + '/?transport=ws');
  await pushd.deliverInput(Buffer.from([0xff, 0x00]), 'test', '-');
  await logged(page, 'message', '2 bytes: ff 00');
});

test('the number of connections held', async t => {
  const pushd = await Pushd.start(t);
  const page = await visit(t, pushd.url + '/');
  const told = async () => (await (await fetch(pushd.url + '/demo/connections')).json()).connections;
  const shown = () => page.locator('#connections').textContent();
  await until('the page shows what pushd tells', async () => await shown() === String(await told()));
  assert.ok(Number(await shown()) >= 1, 'the page is counted');
  const abort = new AbortController();
  t.after(() => abort.abort());
  for (let i = 0; i < 10; i++) await fetch(`${pushd.url}/events?channel=other`, {signal: abort.signal});
  await page.waitForFunction(() => Number(document.getElementById('connections').textContent) >= 11);
});

test('the pushpub line does what it says', async t => {
  const pushd = await Pushd.start(t);
  // Run by a shell with pushpub in its PATH, the line must reach this very page.
  for (const channel of ['test', "it's", 'a b$HOME`id`"\\', '-x', 'bench', 'help', 'ü/ü', '*']) {
    await t.test(channel, async t => {
      const page = await visit(t, `${pushd.url}/?channel=${encodeURIComponent(channel)}`);
      const line = await page.locator('#line').textContent();
      if (channel === 'test') assert.equal(line, "pushpub test 'hello'");
      if (channel === "it's") assert.equal(line, "pushpub 'it'\\''s' 'hello'");
      await until('the page is subscribed', async () => (await pushd.pushpub(['--require-receivers', '-c', channel, 'first'])).code === 0);
      await promisify(execFile)('sh', ['-c', line], {
        env: {...process.env, PATH: `${process.env.HOLDFAST_BIN}:${process.env.PATH}`, PUSHD_SOCKET: pushd.socket},
      });
      await logged(page, 'message', 'hello');
    });
  }
});

test('the line follows the field, and is copied', async t => {
  const pushd = await Pushd.start(t);
  const page = await visit(t, pushd.url + '/', {permissions: ['clipboard-read', 'clipboard-write']});
  await page.getByLabel('Channel').fill("o'clock");
  await page.getByRole('button', {name: 'Copy'}).click();
  await page.getByText('Copied.').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "pushpub 'o'\\''clock' 'hello'");
});

test('another channel, and the end of a subscription', async t => {
  const pushd = await Pushd.start(t);
  const page = await visit(t, pushd.url + '/');
  await page.getByLabel('Channel').fill('other');
  await page.getByRole('button', {name: 'Subscribe'}).click();
  await state(page, 'open');
  await pushd.deliver('other', 'for other');
  await logged(page, 'message', 'for other');
  await until('the former channel is left', async () => (await pushd.pushpub(['--require-receivers', 'test', 'lost'])).code === 4);
  await page.getByRole('button', {name: 'Stop'}).click();
  await state(page, 'stopped');
  await until('the channel is left', async () => (await pushd.pushpub(['--require-receivers', 'other', 'lost'])).code === 4);
});

test('a refused channel is told, and not tried again', async t => {
  const pushd = await Pushd.start(t);
  const page = await newPage(t, browser);
  const long = 'ü'.repeat(200); // 400 bytes: too many for a name
  await page.goto(`${pushd.url}/?channel=${encodeURIComponent(long)}`);
  await state(page, 'refused');
  assert.match(await page.locator('#state').textContent(), /^refused \(400\): .*channel/);
});

test('the log is bounded', async t => {
  const pushd = await Pushd.start(t);
  const page = await visit(t, pushd.url + '/');
  await pushd.deliver('test', 'first');
  const lines = Array.from({length: 1200}, (_, i) => `line ${i}`);
  await pushd.deliverInput(lines.join('\n') + '\n', '-l', 'test');
  await logged(page, 'message', 'line 1199');
  assert.deepEqual(await texts(page, 'message'), lines.slice(-500));
  assert.equal(await page.locator('#messages').textContent(), '1201');
});

for (const transport of ['events', 'ws', 'poll']) {
  test(`${transport}: the page comes back after a restart of pushd`, async t => {
    const pushd = await Pushd.start(t);
    const page = await visit(t, `${pushd.url}/?transport=${transport}`);
    await pushd.deliver('--no-eol', '--retry', '100', 'test', 'before');
    await logged(page, 'message', 'before');
    await pushd.stop('SIGKILL');
    await state(page, 'reconnecting');
    assert.match(await page.locator('#state').textContent(), /^reconnecting \(try \d+\)$/);
    await pushd.restart();
    await state(page, 'open');
    assert.equal(await page.locator('#reconnects').textContent(), '1');
    await pushd.deliver('--no-eol', 'test', 'after the restart');
    await logged(page, 'message', 'after the restart');
  });
}

for (const transport of ['events', 'poll']) {
  test(`${transport}: with a history the page misses nothing, and is told what it cannot get`, async t => {
    const pushd = await Pushd.start(t, '--history', '100');
    const relay = await Relay.start(t, pushd.port);
    const page = await visit(t, `${relay.url}/?transport=${transport}`);
    const want = ['message 0'];
    await pushd.deliver('--no-eol', '--retry', '100', 'test', want[0]);
    await logged(page, 'message', want[0]);
    relay.cut();
    for (let i = 1; i <= 20; i++) {
      want.push(`message ${i}`);
      await pushd.publish('--no-eol', '--retry', '100', 'test', want[i]);
    }
    await logged(page, 'message', want.at(-1));
    assert.deepEqual(await texts(page, 'message'), want);
    assert.deepEqual(await texts(page, 'gap'), []);

    await pushd.stop('SIGKILL');
    await pushd.restart();
    await pushd.publish('--no-eol', 'test', 'after the restart');
    await logged(page, 'message', 'after the restart');
    await page.locator('#log li.gap').first().waitFor();
    assert.match(await page.locator('#gaps').textContent(), /^[1-9]/);
  });
}

test('a token is asked for when one is wanted', async t => {
  const pushd = await Pushd.start(t, ...tokenKey);
  const page = await newPage(t, browser);
  await page.goto(pushd.url + '/');
  await state(page, 'refused');
  assert.match(await page.locator('#state').textContent(), /^refused \(401\): /);
  for (const [text, want] of [['not.a.token', 'refused'], [token('other'), 'refused'], [token('test'), 'open']]) {
    await page.getByLabel('Token').fill(text);
    const request = page.waitForRequest(r => r.url().includes('/events'));
    await page.getByRole('button', {name: 'Subscribe'}).click();
    assert.equal(new URL((await request).url()).searchParams.get('token'), text);
    await state(page, want);
    assert.ok(!page.url().includes('token'), 'the address does not show it');
  }
  await pushd.deliver('test', 'hello');
  await logged(page, 'message', 'hello');
});

test('the page fits a telephone, light and dark', async t => {
  const pushd = await Pushd.start(t);
  const grounds = [];
  for (const colorScheme of ['light', 'dark']) {
    const page = await visit(t, pushd.url + '/', {colorScheme, viewport: {width: 360, height: 700}});
    await pushd.deliver('test', 'x'.repeat(3000));
    await page.locator('#log li').first().waitFor();
    const {width, ground} = await page.evaluate(() => ({
      width: document.documentElement.scrollWidth,
      ground: getComputedStyle(document.body).backgroundColor,
    }));
    assert.ok(width <= 360, `the page is ${width} wide`);
    grounds.push(ground);
  }
  assert.notEqual(grounds[0], grounds[1]);
});
