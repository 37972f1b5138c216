// Pages in Chromium: EventSource, WebSocket and fetch, of pushd's own origin and of another one.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {launch, newPage, serveEmptyPage} from './browser.mjs';
import {Pushd, patience, token, tokenKey, until} from './pushd.mjs';
import {Relay} from './relay.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// subscribe opens an EventSource or a WebSocket in the page; window.got is what comes.
function subscribe(page, kind, url) {
  return page.evaluate(([kind, url]) => {
    const client = window.client = kind === 'ws' ? new WebSocket(url.replace(/^http/, 'ws')) : new EventSource(url, {withCredentials: true});
    window.got = [];
    client.onopen = () => window.got.push('open');
    client.onerror = () => window.got.push('error');
    client.onmessage = e => window.got.push(`${e.lastEventId}:${e.data}`);
    if (kind === 'events') client.addEventListener('gap', e => window.got.push(`gap:${e.data}`));
  }, [kind, url]);
}

// got waits for something that matches, and gives all that came.
async function got(page, pattern) {
  const end = Date.now() + patience;
  for (;;) {
    const all = await page.evaluate(() => window.got);
    if (all.some(s => pattern.test(s))) return all;
    if (Date.now() > end) throw new Error(`no ${pattern} came, but ${JSON.stringify(all)}`);
    await page.waitForTimeout(20);
  }
}

// request is what a page sees of a request: the status and the fields that it may read, or that it failed.
function request(page, url, options) {
  return page.evaluate(async ([url, options]) => {
    try {
      const answer = await fetch(url, options);
      return {status: answer.status, id: answer.headers.get('Last-Event-ID'), text: await answer.text()};
    } catch (e) {
      return {failed: e.name};
    }
  }, [url, options]);
}

// sandboxed is what a sandboxed frame of the page, whose origin is "null", sees of a request.
function sandboxed(page, url) {
  return page.evaluate(url => new Promise(resolve => {
    window.onmessage = e => resolve(e.data);
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = `<script>fetch(${JSON.stringify(url)}).then(() => 'served', () => 'failed').then(r => parent.postMessage(r, '*'))</script>`;
    document.body.append(frame);
  }), url);
}

// openPage opens an empty page of the host.
async function openPage(t, host) {
  const port = await serveEmptyPage(t);
  const page = await newPage(t, browser);
  const origin = `http://${host}:${port}`;
  await page.goto(origin);
  return {page, origin};
}

test('an EventSource of a page comes back with Last-Event-ID after pushd was killed', async t => {
  const pushd = await Pushd.start(t);
  const relay = await Relay.start(t, pushd.port);
  const page = await newPage(t, browser);
  await page.goto(relay.url + '/');
  await subscribe(page, 'events', `${relay.url}/events?channel=page`);
  await got(page, /^open/);
  await pushd.deliver('--id', 'seventh', '--retry', '100', 'page', 'before');
  await got(page, /^seventh:before/);
  await pushd.stop('SIGKILL');
  await got(page, /^error/);
  await pushd.restart();
  await pushd.deliver('page', 'after');
  await got(page, /:after/);
  const heads = relay.headsOf('/events?channel=page');
  assert.ok(heads.length >= 2, `${heads.length} requests`);
  assert.equal(heads[0]['last-event-id'], undefined);
  for (const head of heads.slice(1)) assert.equal(head['last-event-id'], 'seventh');
});

test('with a history an EventSource of a page loses nothing over cuts, and is told of a gap after a restart', async t => {
  const pushd = await Pushd.start(t, '--history', '100');
  const relay = await Relay.start(t, pushd.port);
  const page = await newPage(t, browser);
  await page.goto(relay.url + '/');
  await subscribe(page, 'events', `${relay.url}/events?channel=page`);
  await got(page, /^open/);
  const want = [];
  for (let round = 0; round < 3; round++) {
    relay.cut(); // the first time before anything has come
    for (let i = 0; i < 5; i++) {
      want.push(`message ${want.length}.`);
      await pushd.publish('--retry', '100', 'page', want.at(-1));
    }
    await got(page, new RegExp(`:${want.at(-1)}$`));
  }
  const all = (await got(page, /./)).filter(s => s !== 'open' && s !== 'error');
  assert.deepEqual(all.map(s => s.replace(/^.*:/, '')), want);
  assert.equal(new Set(all).size, want.length, 'the ids differ');

  await pushd.stop('SIGKILL');
  await pushd.restart();
  await pushd.publish('page', 'after');
  await got(page, /:after$/);
  await got(page, /^gap:\{/);
});

test('a WebSocket of a page', async t => {
  const pushd = await Pushd.start(t);
  const page = await newPage(t, browser);
  await page.goto(pushd.url + '/');
  await subscribe(page, 'ws', `${pushd.url}/ws?channel=page`);
  await got(page, /^open/);
  await pushd.deliver('page', 'grüße');
  await got(page, /:grüße$/);
  const closed = page.evaluate(() => new Promise(resolve => {
    window.client.onclose = e => resolve({code: e.code, reason: e.reason, clean: e.wasClean});
  }));
  await pushd.deliverItem({channel: 'page', formats: {'ws-message': {action: 'close', code: 4001, reason: 'bye'}}});
  assert.deepEqual(await closed, {code: 4001, reason: 'bye', clean: true});
});

test('a WebSocket of a page that offers subprotocols', async t => {
  const pushd = await Pushd.start(t);
  const page = await newPage(t, browser);
  await page.goto(pushd.url + '/');
  const chosen = await page.evaluate(url => new Promise(resolve => {
    const client = new WebSocket(url, ['v1.chat', 'v2.chat']);
    client.onopen = () => resolve(client.protocol);
    client.onerror = () => resolve('failed');
  }), `ws://127.0.0.1:${pushd.port}/ws?channel=page`);
  assert.equal(chosen, 'v1.chat');
});

test('a page of another origin is refused', async t => {
  const pushd = await Pushd.start(t);
  const {page} = await openPage(t, 'app.test');
  for (const kind of ['events', 'ws']) {
    await subscribe(page, kind, `${pushd.url}/${kind}?channel=page`);
    assert.deepEqual(await got(page, /^error/), ['error'], kind);
    assert.equal(await page.evaluate(() => window.client.readyState), kind === 'ws' ? 3 : 2, `${kind} is closed`);
  }
  assert.deepEqual(await request(page, `${pushd.url}/poll?channel=page&timeout=1`), {failed: 'TypeError'});
  const headers = {Authorization: 'Bearer x'};
  assert.deepEqual(await request(page, `${pushd.url}/poll?channel=page&timeout=1`, {headers}), {failed: 'TypeError'});
  assert.equal((await pushd.pushpub(['--require-receivers', 'page', 'x'])).code, 4, 'nothing is held');
});

test('a page of an allowed origin is served', async t => {
  const {page, origin} = await openPage(t, 'app.test');
  const pushd = await Pushd.start(t, '--allow-origin', origin);
  for (const kind of ['events', 'ws']) {
    await t.test(kind, async () => {
      await subscribe(page, kind, `${pushd.url}/${kind}?channel=${kind}`);
      await got(page, /^open/);
      await pushd.deliver(kind, 'hello');
      assert.ok(!(await got(page, /:hello$/)).includes('error'));
      await page.evaluate(() => window.client.close());
    });
  }
  for (const [what, options] of Object.entries({
    'a simple request': {},
    'with a field that needs a preflight': {headers: {Authorization: 'Bearer x'}},
    'with credentials': {credentials: 'include'},
    'with both': {headers: {Authorization: 'Bearer x'}, credentials: 'include'},
  })) {
    await t.test(`poll, ${what}`, async () => {
      const answer = request(page, `${pushd.url}/poll?channel=poll&timeout=10`, options);
      await pushd.deliver('--no-eol', '--id', what, 'poll', 'hello');
      assert.deepEqual(await answer, {status: 200, id: what, text: 'hello'});
    });
  }
  assert.deepEqual(page.complaints, []);
});

test('tokens of a page of an allowed origin', async t => {
  const {page, origin} = await openPage(t, 'app.test');
  const pushd = await Pushd.start(t, '--allow-origin', origin, '--token-cookie', 'pass', ...tokenKey);
  await t.test('in a field', async () => {
    const poll = token => request(page, `${pushd.url}/poll?channel=page&timeout=1`, {headers: {Authorization: `Bearer ${token}`}});
    assert.equal((await poll(token('page'))).status, 204);
    assert.equal((await poll(token('other'))).status, 403);
    assert.equal((await poll('x')).status, 401, 'the page may read why');
  });
  // A cookie is for a host and all of its ports, so that the page can set the one that pushd gets.
  await t.test('in a cookie', async () => {
    const url = `http://app.test:${pushd.port}`;
    assert.equal((await request(page, `${url}/poll?channel=page&timeout=1`, {credentials: 'include'})).status, 401);
    await page.evaluate(value => { document.cookie = `pass=${value}`; }, token('page'));
    assert.equal((await request(page, `${url}/poll?channel=page&timeout=1`, {credentials: 'include'})).status, 204);
    for (const kind of ['events', 'ws']) {
      await subscribe(page, kind, `${url}/${kind}?channel=page`);
      await got(page, /^open/);
      await pushd.deliver('page', `hello ${kind}`);
      await got(page, new RegExp(`:hello ${kind}$`));
      await page.evaluate(() => window.client.close());
    }
  });
});

test('an origin that looks like an allowed one is refused', async t => {
  const {page: listed, origin} = await openPage(t, 'app.test');
  const {page: otherPort} = await openPage(t, 'app.test');
  const pushd = await Pushd.start(t, '--allow-origin', origin);
  const poll = `${pushd.url}/poll?channel=page&timeout=1`;
  assert.deepEqual(await request(otherPort, poll), {failed: 'TypeError'});
  assert.equal((await request(listed, poll)).status, 204);
  assert.equal(await sandboxed(listed, poll), 'failed');
});

test('a page of any origin, where that is allowed, but without credentials', async t => {
  const pushd = await Pushd.start(t, '--allow-origin', '*');
  const {page} = await openPage(t, 'app.test');
  const poll = `${pushd.url}/poll?channel=page&timeout=1`;
  assert.equal((await request(page, poll)).status, 204);
  assert.equal(await sandboxed(page, poll), 'served');
  assert.equal((await request(page, poll, {headers: {Authorization: 'Bearer x'}})).status, 204);
  assert.deepEqual(await request(page, poll, {credentials: 'include'}), {failed: 'TypeError'});
});

test('a page of another port of this machine is served by a listener that only this machine reaches', async t => {
  const pushd = await Pushd.start(t);
  const {page} = await openPage(t, '127.0.0.1');
  await subscribe(page, 'ws', `${pushd.url}/ws?channel=page`);
  await got(page, /^open/);
  assert.equal((await request(page, `${pushd.url}/poll?channel=page&timeout=1`)).status, 204);
  await until('the page is subscribed', async () => (await pushd.pushpub(['--require-receivers', 'page', 'x'])).code === 0);
});
